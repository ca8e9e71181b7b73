"""What was learned against what was lost: where everybody stands, for the page and for print."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.report.labels import Drawing, Pair, Placed, placed
from holdfast.report.plane import extent
from holdfast.report.sequence.analysis import Analysed, Measured
from holdfast.report.sequence.numbers import Number
from holdfast.report.sequence.standing import LEARNT, LOST

MARGIN_FRAC = 0.06


@dataclass(frozen=True)
class Plane:
    """The drawing.

    Attributes:
        spots: Entrants with their places.
        across: Ends of the axis of learning.
        up: Ends of the axis of loss.
    """

    spots: tuple[tuple[Measured, Pair], ...]
    across: Pair
    up: Pair


def plane_of(found: Analysed) -> Plane | None:
    """Where everybody stands; nothing where learning or loss is nowhere defined."""
    spots = []
    for each in found.sequences:
        learnt, lost = each.numbers[LEARNT].value, each.numbers[LOST].value
        if learnt is not None and lost is not None:
            spots.append((each, (learnt, lost)))
    if not spots:
        return None
    across = [end for each, _ in spots for end in span_of(each.numbers[LEARNT])]
    up = [0.0, *(end for each, _ in spots for end in span_of(each.numbers[LOST]))]
    return Plane(tuple(spots), extent(across, MARGIN_FRAC), extent(up, MARGIN_FRAC))


def span_of(number: Number) -> Pair:
    """The interval of a number that is defined, or the point where there is none."""
    value = number.known
    return (value, value) if number.spread is None else (number.spread.low, number.spread.high)


def name_places(plane: Plane, frame: Pair, letter: float, row: float, scale: float = 1.0) -> list[Placed]:
    """Where the names stand beside their dots.

    Args:
        plane: The plane.
        frame: Width and height of the drawing.
        letter: Width of a letter.
        row: Height of a line.
        scale: How large a dot is, of one on the page.
    """
    drawing = Drawing(plane.across, plane.up, frame)
    bars = [
        bar
        for each, spot in plane.spots
        for bar in drawing.cross(spot, span_of(each.numbers[LEARNT]), span_of(each.numbers[LOST]), scale)
    ]
    sizes = [(letter * len(each.name) + 6 * scale, row) for each, _ in plane.spots]
    return placed([drawing.at(*spot) for _, spot in plane.spots], sizes, bars, frame, scale)
