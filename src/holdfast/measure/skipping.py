"""Items whose answer the points around decide: skipped along a path, but for an audit that bounds the errors."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from holdfast.core.rewinding import Skipped
from holdfast.core.scores import TaskScores
from holdfast.metrics.significance import proportion_interval

Grades = Float[np.ndarray, " items"]
Marked = Bool[np.ndarray, " items"]


@dataclass(frozen=True)
class Skipping:
    """How items are skipped that were graded alike at the nearest points on both sides at which they were asked.

    An item that was right at both is taken to be right between them, and one that was wrong at both to be wrong. Texts
    and grades between right and wrong are always asked.

    Attributes:
        audit_frac: Share of the items so decided that are asked all the same, drawn at random.
        seed: Of the draws; each is its own for a task and a point, whatever was asked before.

    Raises:
        ValueError: If the share is not above 0 and at most 1: without an audit nothing bounds the errors.
    """

    audit_frac: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.audit_frac <= 1:
            raise ValueError(
                f"an audit asks a share of the skipped items above 0 and at most 1, such as 0.05, found "
                f"{self.audit_frac}; without one nothing bounds the errors"
            )

    def drawn(self, task: str, t: float, items: int) -> Marked:
        """Which items of a task are asked at a point whatever the points around say."""
        name = hashlib.sha256(f"{self.seed} {t!r} {task}".encode()).digest()
        drawn: Marked = np.random.default_rng(list(name)).random(items) < self.audit_frac
        return drawn


class Column:
    """One task along a path: the grades of its items where they were asked, and elsewhere what follows from them.

    Args:
        like: Its scores at any point at which all items were asked.
        skipping: How items are skipped; all are asked where not given.
    """

    def __init__(self, like: TaskScores, skipping: Skipping | None) -> None:
        self._like, self._skipping = like, skipping if like.unit == "frac" else None
        self._places = {item: place for place, item in enumerate(like.ids)}
        self._whole: dict[float, TaskScores] = {}
        self._asked: dict[float, Grades] = {}
        self._guessed: dict[float, Grades] = {}
        self._truncated: dict[float, float] = {}

    def missing(self, t: float, *, whole: bool = False) -> tuple[str, ...]:
        """Ids of the items that are still to be asked at a point: what is undecided, and the audit.

        Args:
            t: The point.
            whole: All items are to be asked, also those that are decided.
        """
        if t in self._whole:
            return ()
        if self._skipping is None:
            return self._like.ids
        due = np.isnan(self._asked_at(t))
        if not whole:
            drawn = self._skipping.drawn(self._like.task, t, due.size)
            due &= np.isnan(self._decided(t)) | drawn
        return tuple(item for item, asked in zip(self._like.ids, due, strict=True) if asked)

    def note(self, t: float, found: TaskScores | None) -> None:
        """Write down what was found at a point; nothing where all items were decided."""
        self._guessed.setdefault(t, self._decided(t))
        if found is not None and found.ids == self._like.ids:
            self._whole[t], self._asked[t] = found, np.array(found.values)
            return
        grades = self._asked_at(t)
        if found is not None:
            grades[[self._places[item] for item in found.ids]] = found.values
            self._truncated[t] = self._truncated.get(t, 0.0) + found.truncated_frac * len(found.ids)
        self._asked[t] = grades
        if not np.isnan(grades).any():
            self._whole[t] = self._composed(t)

    def at(self, t: float) -> TaskScores:
        """The scores at a point, decided items among them."""
        return self._whole.get(t) or self._composed(t)

    def is_whole(self, t: float) -> bool:
        """Whether all items were asked at a point."""
        return t in self._whole

    def skipped(self) -> Skipped | None:
        """What other points decided, and how the audit found it; nothing where all items were asked."""
        skipped = sum(int(np.isnan(asked).sum()) for asked in self._asked.values())
        if self._skipping is None or not skipped:
            return None
        decided = audited = wrong = 0
        for t, guessed in self._guessed.items():
            judged = ~np.isnan(guessed)
            # Others that were asked after all were not drawn: they lie beside a find of the audit, or were chosen.
            audit = judged & self._skipping.drawn(self._like.task, t, judged.size)
            decided += int(judged.sum())
            audited += int(audit.sum())
            wrong += int((self._asked[t] != guessed)[audit].sum())
        return Skipped(
            decided=decided, skipped=skipped, audited=audited, wrong=wrong, error_frac=error_limit(wrong, audited)
        )

    def _asked_at(self, t: float) -> Grades:
        return self._asked[t].copy() if t in self._asked else np.full(len(self._like.ids), np.nan)

    def _decided(self, t: float) -> Grades:
        """The grades that the nearest points on both sides agree on; NaN where they do not, or one is missing."""
        below = _nearest(self._asked[s] for s in sorted(self._asked) if s < t)
        above = _nearest(self._asked[s] for s in sorted(self._asked, reverse=True) if s > t)
        if below is None or above is None:
            return np.full(len(self._like.ids), np.nan)
        agreed: Grades = np.where((below == above) & np.isin(below, (0.0, 1.0)), below, np.nan)
        return agreed

    def _composed(self, t: float) -> TaskScores:
        asked = self._asked[t]
        answered = int((~np.isnan(asked)).sum())
        return TaskScores(
            **{
                **dict(self._like),
                "values": tuple(np.where(np.isnan(asked), self._decided(t), asked).tolist()),
                # Of the answers that were given: nobody knows how long the others would have been.
                "truncated_frac": self._truncated.get(t, 0.0) / max(answered, 1),
            }
        )


def error_limit(wrong: int, audited: int) -> float:
    """One-sided upper 95 % limit of a share of errors (Clopper and Pearson 1934), from an audit at random.

    With none wrong among n it is about 3 / n, and 1 where nothing was audited. It holds however errors cluster in items
    or points, since draws do not.
    """
    return proportion_interval(wrong, audited, 0.9).high if audited else 1.0


def outside_in(ts: Iterable[float]) -> list[float]:
    """Points in an order in which each lies between others that are far apart: the ends, the middle, the quarters."""
    points = sorted(ts)
    order = [*points[:1], *points[1:][-1:]]
    gaps = deque([points])
    while gaps:
        gap = gaps.popleft()
        if len(gap) > 2:
            middle = len(gap) // 2
            order.append(gap[middle])
            gaps += (gap[: middle + 1], gap[middle:])
    return order


def _nearest(grades: Iterable[Grades]) -> Grades | None:
    """The last grade of every item that is one; nothing where nobody was asked."""
    nearest: Grades | None = None
    for point in grades:
        nearest = point if nearest is None else np.where(np.isnan(point), nearest, point)
    return nearest
