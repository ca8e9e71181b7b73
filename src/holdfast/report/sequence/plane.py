"""What was learned against what was lost: where everybody stands, for the page and for print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.report.labels import Pair, Placed, placed
from holdfast.report.sequence.analysis import Analysed, Measured
from holdfast.report.sequence.numbers import Number
from holdfast.report.sequence.standing import LEARNT, LOST

PADDING = 0.06


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
    return Plane(tuple(spots), _extent(across), _extent(up))


def span_of(number: Number) -> Pair:
    """The interval, or the point where there is none."""
    value = number.value or 0.0
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
    (left, right), (bottom, top) = plane.across, plane.up

    def at(x: float, y: float) -> Pair:
        return frame[0] * (x - left) / (right - left), frame[1] * (top - y) / (top - bottom)

    bars = []
    for each, (x, y) in plane.spots:
        (low, high), (foot, head) = span_of(each.numbers[LEARNT]), span_of(each.numbers[LOST])
        (west, middle), (east, _) = at(low, y), at(high, y)
        (centre, south), (_, north) = at(x, foot), at(x, head)
        bars += [(west, middle - scale, east, middle + scale), (centre - scale, north, centre + scale, south)]
    sizes = [(letter * len(each.name) + 6 * scale, row) for each, _ in plane.spots]
    return placed([at(*spot) for _, spot in plane.spots], sizes, bars, frame, scale)


def _extent(values: Sequence[float]) -> Pair:
    low, high = min(values), max(values)
    room = PADDING * (high - low) or 0.05
    return low - room, high + room
