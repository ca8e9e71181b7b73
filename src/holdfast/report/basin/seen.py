"""A measurement of basins in the order in which it is told: what breaks first comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from math import inf, sqrt
from typing import Final

from holdfast.core.basin import BasinCurve, BasinMeasurement, BasinVerdict, BasinWidth, Level
from holdfast.core.certificate import Certificate
from holdfast.report.palette import Look, looks_of
from holdfast.report.wording import base_name

RANDOM, WORST, TOWARD = "random", "worst", "toward "
ROOM: Final = 1.25
"""How many times farther than what is known an axis goes."""


@dataclass(frozen=True)
class Seen:
    """A measurement, ready to be told.

    Attributes:
        measurement: What was measured.
    """

    measurement: BasinMeasurement

    @cached_property
    def abilities(self) -> tuple[str, ...]:
        """Names of the abilities, the narrowest basin first; those of which no width is known last."""
        found = self.measurement
        names = dict.fromkeys(
            [
                *(each.ability for each in found.widths),
                *(each.ability for each in found.curves),
                *(each.ability for each in found.verdicts),
                *(each.ability for each in found.certificates),
                *(each.ability for each in found.inputs),
            ]
        )
        return tuple(sorted(names, key=self._reach))

    @cached_property
    def tuned(self) -> tuple[str, ...]:
        """Fine-tunes that were judged, the nearest to the base first."""
        nearest = sorted(self.measurement.verdicts, key=lambda each: each.sigma)
        return tuple(dict.fromkeys(each.tuned for each in nearest))

    @cached_property
    def directions(self) -> tuple[str, ...]:
        """Kinds of direction: random, worst, toward the fine-tunes from the nearest on, then all others."""
        kinds = dict.fromkeys(curve.direction for curve in self.measurement.curves)
        wanted = (RANDOM, WORST, *(TOWARD + tuned for tuned in self.tuned))
        return (*(kind for kind in wanted if kind in kinds), *(kind for kind in kinds if kind not in wanted))

    @property
    def parts(self) -> tuple[str, ...]:
        """Directions that move a part of the weights alone, whose sigma means another length."""
        return tuple(kind for kind in self.directions if not _is_of_all(kind))

    @cached_property
    def look(self) -> Mapping[str, Look]:
        """Kind of direction -> how it is drawn; that of a fine-tune is there even if its way was not walked."""
        toward = (TOWARD + tuned for tuned in self.tuned)
        return looks_of((RANDOM, WORST, *toward, *(kind for kind in self.directions if kind not in self.parts)))

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Fine-tune -> its name in short."""
        kinds = [kind.removeprefix(TOWARD) for kind in self.directions if kind.startswith(TOWARD)]
        return short_names(tuple(dict.fromkeys((*self.tuned, *kinds))))

    def called(self, kind: str) -> str:
        """A kind of direction, as people call it."""
        tuned = kind.removeprefix(TOWARD)
        return f"{TOWARD}{self.names[tuned]}" if kind.startswith(TOWARD) else kind

    def curves(self, ability: str) -> tuple[BasinCurve, ...]:
        """Curves of an ability in the order of their directions."""
        mine = [curve for curve in self.measurement.curves if curve.ability == ability]
        return tuple(sorted(mine, key=lambda curve: self.directions.index(curve.direction)))

    def main_curves(self, ability: str) -> tuple[BasinCurve, ...]:
        """Those of them that share one meaning of sigma: noise, or a way, over all that is moved."""
        return tuple(curve for curve in self.curves(ability) if _is_of_all(curve.direction))

    def curve(self, ability: str, kind: str) -> BasinCurve | None:
        """The curve of an ability along directions of a kind, if there is one."""
        return next((curve for curve in self.curves(ability) if curve.direction == kind), None)

    def width(self, ability: str) -> BasinWidth | None:
        """The width of an ability, if one was looked for; of several the first."""
        return next((width for width in self.measurement.widths if width.ability == ability), None)

    def verdict(self, ability: str, tuned: str) -> BasinVerdict | None:
        """What was found of a fine-tune and an ability, if it was looked at."""
        return next((v for v in self.measurement.verdicts if (v.ability, v.tuned) == (ability, tuned)), None)

    def length(self, sigma: float) -> float:
        """How long a distance is over all coordinates."""
        return sigma * sqrt(self.measurement.coordinates)

    @cached_property
    def walked(self) -> tuple[str, ...]:
        """Abilities with a curve over all that is moved."""
        return tuple(ability for ability in self.abilities if self.main_curves(ability))

    @cached_property
    def judged(self) -> tuple[str, ...]:
        """Abilities beside whose basin some fine-tune was put."""
        asked = {each.ability for each in self.measurement.verdicts}
        return tuple(ability for ability in self.abilities if ability in asked)

    @cached_property
    def base_scores(self) -> Mapping[str, tuple[float, float, int]]:
        """Ability -> score of the base, of a guess, and how many items were asked; of those with a curve."""
        curves = [self.curves(ability)[0] for ability in self.abilities if self.curves(ability)]
        return {curve.ability: (curve.base, curve.chance, curve.items) for curve in curves}

    def _reach(self, ability: str) -> float:
        width = self.width(ability)
        if width is not None and (known := middle_of(width)) is not None:
            return known
        curve = self.curve(ability, RANDOM)
        return inf if curve is None or curve.soft_width.value is None else curve.soft_width.value


def middle_of(width: BasinWidth) -> float | None:
    """What a width is sorted by: its middle, or the end that is known where the other one is missing."""
    return width.sigma or width.high or width.low


def sigmas_of(view: Seen) -> tuple[float, float]:
    """Ends of an axis that holds every distance of which something is known.

    Raises:
        ValueError: If no distance was looked at.
    """
    found = view.measurement
    known = [level.sigma for curve in found.curves if _is_of_all(curve.direction) for level in curve.levels]
    known += [end for width in found.widths for end in (width.low, width.high) if end is not None]
    return reach_of([*known, *(each.sigma for each in found.verdicts)])


def reach_of(sigmas: Sequence[float]) -> tuple[float, float]:
    """Ends of an axis of distances, a little beyond the nearest and the farthest.

    Raises:
        ValueError: If there are none.
    """
    if not sigmas:
        raise ValueError("no distances to draw: the measurement holds neither curves nor widths nor fine-tunes")
    return min(sigmas) / ROOM, max(sigmas) * ROOM


def _is_of_all(kind: str) -> bool:
    """Whether a kind of direction moves all that is moved, so that its sigma is that of the widths."""
    return kind in (RANDOM, WORST) or kind.startswith(TOWARD)


def short_names(names: Sequence[str]) -> Mapping[str, str]:
    """Names -> what people call them; where two would be called alike, the parts in which their folders differ."""
    short = [base_name(name) for name in names]
    if len(set(short)) < len(short):
        parts = [name.replace("\\", "/").split("/") for name in names]
        ahead, behind = _alike(parts), _alike([each[::-1] for each in parts])
        short = ["/".join(each[ahead : len(each) - behind]) for each in parts]
    # A folder within another of them may have nothing of its own.
    return {name: one if one and short.count(one) == 1 else name for name, one in zip(names, short, strict=True)}


def _alike(parts: Sequence[Sequence[str]]) -> int:
    """How many parts all begin with."""
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False)))


def directions_of(levels: Sequence[Level]) -> int:
    """How many directions were walked, at the distance with the fewest."""
    return min(len(level.seeds) for level in levels)


def certificates_of(view: Seen) -> Mapping[Certificate, str]:
    """Certificate -> the fine-tune it was made for, or nothing; those of any fine-tune first, none twice."""
    found = dict.fromkeys(view.measurement.certificates, "")
    for verdict in view.measurement.verdicts:
        if verdict.certificate is not None and not found.get(verdict.certificate):
            found[verdict.certificate] = verdict.tuned
    return found


def seen(measurement: BasinMeasurement) -> Seen:
    """A measurement, ready to be told."""
    return Seen(measurement)
