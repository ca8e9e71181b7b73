"""Two models on the same items and along the same directions: before and after something was done to their basins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from holdfast.core.basin import BasinCurve, BasinWidth
from holdfast.core.errors import NotMeasurable
from holdfast.metrics.basin.pairing import WidthRatio, width_ratio
from holdfast.metrics.interval import Interval
from holdfast.metrics.significance import seed_interval
from holdfast.report.basin.ledger import width_cell
from holdfast.report.basin.phrases import sigma_text
from holdfast.report.basin.seen import RANDOM, Seen
from holdfast.report.diagnosis.ledger import Ledger, Row
from holdfast.report.ledger import Cell, Column
from holdfast.report.wording import NONE, listed, number, quoted, signed, span, typeset

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Gap:
    """How much more of its own score the later model keeps at a distance.

    Attributes:
        sigma: The distance.
        value: Mean drop of the earlier model minus that of the later one.
        spread: Student's 95 % interval over directions, in pairs.
    """

    sigma: float
    value: float
    spread: Interval


@dataclass(frozen=True)
class Compared:
    """An ability of two models.

    Attributes:
        ability: Its name.
        before: Its curve along random directions in the earlier model.
        after: The same in the later one.
        widths: Its widths in both, where they were looked for.
        ratio: How many times wider the later basin is; absent where that is not defined.
        reason: Why it is not.
        gaps: What the later one keeps more at every distance; empty where directions or distances differ.
    """

    ability: str
    before: BasinCurve
    after: BasinCurve
    widths: tuple[BasinWidth | None, BasinWidth | None]
    ratio: WidthRatio | None
    reason: str | None
    gaps: tuple[Gap, ...]


def compared(before: Seen, after: Seen) -> tuple[Compared, ...]:
    """Every ability that both models were asked, in the order of the later one."""
    return tuple(
        _pair(ability, before, after, one, other)
        for ability in after.abilities
        if (one := before.curve(ability, RANDOM)) is not None and (other := after.curve(ability, RANDOM)) is not None
    )


def wider_line(pairs: tuple[Compared, ...], before: str) -> str | None:
    """What became wider and what narrower, in a sentence; nothing where nothing can be compared."""
    known = [(each, each.ratio) for each in pairs if each.ratio is not None]
    if not known:
        return None
    parts = [f"that of {quoted([each.ability])} {ratio.value:.3g} times {_range(ratio)}" for each, ratio in known]
    sure = [each.ability for each, ratio in known if not ratio.spread[0] <= 1 <= ratio.spread[1]]
    tail = "" if sure else "; no interval leaves out 1, so no change is claimed"
    return f"Against {before}, basins are so many times as wide, along the same directions: {listed(parts)}{tail}."


def compared_ledger(pairs: tuple[Compared, ...]) -> Ledger | None:
    """Both models side by side; nothing where nothing can be compared."""
    if not pairs:
        return None
    columns = (
        Column("before", "Score of the earlier model as it is", first=True),
        Column("after", "Score of the later model as it is"),
        Column("before", "Width of its basin along random directions, sigma, by the sequential test", first=True),
        Column("after", "The same of the later model"),
        Column("before", "How far the mean drop stays within the tolerance, read off the curve, sigma", first=True),
        Column("after", "The same of the later model"),
        Column("ratio", "How many times wider, with an interval over directions, which both models share", first=True),
        Column("kept more", "Where the curves part most: mean drop before minus mean drop after, in pairs"),
    )
    groups = (("score of the base", 2), ("width, tested", 2), ("width, read off", 2), ("after against before", 2))
    return Ledger(groups, columns, tuple(Row(each.ability, "", tuple(_cells(each))) for each in pairs))


def _pair(ability: str, before: Seen, after: Seen, one: BasinCurve, other: BasinCurve) -> Compared:
    widths = (before.width(ability), after.width(ability))
    if reason := _unlike(before, after, one, other):
        return Compared(ability, one, other, widths, None, reason, ())
    try:
        ratio, reason = width_ratio(one, other, after.measurement.tolerance), None
    except NotMeasurable as error:
        ratio, reason = None, str(error)
    return Compared(ability, one, other, widths, ratio, reason, tuple(_gaps(one, other)))


def _unlike(before: Seen, after: Seen, one: BasinCurve, other: BasinCurve) -> str | None:
    """Why two curves cannot be compared in pairs."""
    if before.measurement.coordinates != after.measurement.coordinates:
        counts = [f"{view.measurement.coordinates:,}" for view in (before, after)]
        return f"undefined: the noise moves {counts[0]} coordinates of one model and {counts[1]} of the other"
    if one.items != other.items:
        return f"undefined: {one.items} items of one model and {other.items} of the other were asked"
    if [(level.sigma, level.seeds) for level in one.levels] != [(level.sigma, level.seeds) for level in other.levels]:
        return "undefined: the distances or the directions of the two are not the same"
    return None


def _gaps(one: BasinCurve, other: BasinCurve) -> Iterator[Gap]:
    for first, second in zip(one.levels, other.levels, strict=True):
        kept = (one.base - np.array(first.scores)) - (other.base - np.array(second.scores))
        if kept.size > 1:
            yield Gap(first.sigma, float(kept.mean()), seed_interval(kept))


def _range(ratio: WidthRatio) -> str:
    return f"[{ratio.spread[0]:.3g}, {ratio.spread[1]:.3g}]"


def _cells(each: Compared) -> Iterator[Cell]:
    for curve in (each.before, each.after):
        yield Cell(number(curve.base), (), curve.base)
    for width in each.widths:
        yield width_cell(width)
    for curve in (each.before, each.after):
        found = curve.soft_width
        text = NONE if found.value is None else sigma_text(found.value)
        yield Cell(text, (), found.value, found.reason or "")
    if each.ratio is None:
        yield Cell(NONE, (), None, each.reason or "")
    else:
        yield Cell(f"{each.ratio.value:.3g}\N{MULTIPLICATION SIGN}", (_range(each.ratio),), each.ratio.value)
    if not each.gaps:
        yield Cell(NONE, (), None, each.reason or "one direction")
        return
    most = max(each.gaps, key=lambda gap: abs(gap.value))
    yield Cell(
        typeset(signed(most.value)),
        (typeset(span(most.spread)), f"at sigma {sigma_text(most.sigma)}"),
        most.value,
        "the widest of all gaps, chosen after the fact: the interval is that of one distance",
    )
