"""The scores of the points of one path, which know what is still to be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from holdfast.core.rewinding import Skipped
from holdfast.core.scores import PointScores
from holdfast.core.task import Split
from holdfast.measure.skipping import Column, Skipping, outside_in

Some = Mapping[str, Sequence[str]]
"""Ids of items by task; all of a task that is not named."""

Ask = Callable[[float, Some], PointScores]
"""Scores of some items at a point."""


class Gradebook:
    """All tasks along a path.

    Args:
        tasks: Names of the tasks, in order.
        split: Which items are asked.
        skipping: How items are skipped; all are asked where not given.
        known: Points at which all items were asked before.
    """

    def __init__(
        self,
        tasks: Iterable[str],
        split: Split,
        skipping: Skipping | None = None,
        known: Mapping[float, PointScores] | None = None,
    ) -> None:
        self._tasks, self._split, self._skipping = tuple(tasks), split, skipping
        self._columns: dict[str, Column] = {}
        self._points: set[float] = set()
        for t, scores in (known or {}).items():
            self._note(t, scores)

    def __contains__(self, t: float) -> bool:
        return t in self._points

    def fill(self, ts: Iterable[float], ask: Ask, *, whole: bool = False) -> None:
        """Ask at some points what is missing there.

        Where an item turns out otherwise than the points around it said, those points are asked it too: nothing
        decides it there any more.

        Args:
            ts: The points.
            ask: Called once a point, and again where an item is open again; never where nothing is missing.
            whole: Every item is to be asked there, also what is decided.
        """
        for t in sorted(ts) if self._skipping is None else outside_in(ts):
            self._fill(t, ask, whole=whole)
        while opened := [t for t in outside_in(self._points) if any(self._missing(t).values())]:
            for t in opened:
                self._fill(t, ask)

    def at(self, t: float) -> PointScores:
        """The scores at a point, what was decided among them."""
        return PointScores(split=self._split, tasks=tuple(self._columns[name].at(t) for name in self._tasks))

    def is_whole(self, t: float) -> bool:
        """Whether every item was asked at a point."""
        return all(column.is_whole(t) for column in self._columns.values())

    def skipped(self) -> dict[str, Skipped]:
        """What was skipped, by task."""
        found = {name: column.skipped() for name, column in self._columns.items()}
        return {name: skipped for name, skipped in found.items() if skipped is not None}

    def _fill(self, t: float, ask: Ask, *, whole: bool = False) -> None:
        missing = self._missing(t, whole=whole)
        if not self._columns or any(missing.values()):
            self._note(t, ask(t, missing))
        elif t not in self:
            self._note(t, PointScores(split=self._split, tasks=()))

    def _missing(self, t: float, *, whole: bool = False) -> dict[str, tuple[str, ...]]:
        return {name: column.missing(t, whole=whole) for name, column in self._columns.items()}

    def _note(self, t: float, scores: PointScores) -> None:
        for name in self._tasks:
            found = scores.of(name)
            if name not in self._columns and found is not None:
                self._columns[name] = Column(found, self._skipping)
            self._columns[name].note(t, found)
        self._points.add(t)
