"""Where names can stand beside their dots without covering one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from jaxtyping import Float

Pair = tuple[float, float]
Boxes = Float[np.ndarray, "boxes 4"]
"""Left, top, right and bottom; all lengths here are in one unit, and downwards is positive."""

CLEARANCES = (9.0, 16.0, 26.0, 38.0, 52.0, 70.0, 92.0)
DIRECTIONS = 16
PASSES = 12
DOT = 7.0
COVERED_LABEL, COVERED_DOT, COVERED_BAR, OUTSIDE = 60.0, 25.0, 12.0, 400.0
"""What a label pays for each unit of area that it shares with another label or a dot, each bar that it crosses, and
each unit that it sticks out of the frame."""


@dataclass(frozen=True)
class Placed:
    """A label in its place.

    Attributes:
        right: From the dot to the middle of the label.
        down: The same downwards.
        led: Whether it is so far away that a line must lead to the dot.
    """

    right: float
    down: float
    led: bool


@dataclass(frozen=True)
class Drawing:
    """A plane as it is drawn: places in it become lengths from the left and from above.

    Attributes:
        across: Ends of the axis to the right.
        up: Ends of the axis upwards.
        frame: Width and height of the drawing.
    """

    across: Pair
    up: Pair
    frame: Pair

    def at(self, x: float, y: float) -> Pair:
        """Where a point of the plane is drawn."""
        (left, right), (bottom, top) = self.across, self.up
        return self.frame[0] * (x - left) / (right - left), self.frame[1] * (top - y) / (top - bottom)

    def cross(self, spot: Pair, across: Pair, up: Pair, half: float) -> list[tuple[float, float, float, float]]:
        """The two bars of a point, as boxes that labels had better not cross.

        Args:
            spot: The point.
            across: Ends of its bar to the left and right.
            up: Ends of its bar upwards.
            half: Half of how thick a bar is drawn.
        """
        (west, middle), (east, _) = (self.at(end, spot[1]) for end in across)
        (centre, south), (_, north) = (self.at(spot[0], end) for end in up)
        return [(west, middle - half, east, middle + half), (centre - half, north, centre + half, south)]


def placed(
    dots: Sequence[Pair],
    sizes: Sequence[Pair],
    bars: Sequence[tuple[float, float, float, float]],
    frame: Pair,
    scale: float = 1.0,
) -> list[Placed]:
    """Places for the labels of dots: as near as possible, to the right or above if there is a choice.

    Every label takes the cheapest of the places around its dot, given the others; a few rounds settle it. With very
    many dots on one spot some overlap is left.

    Args:
        dots: Their middles.
        sizes: Width and height of their labels.
        bars: Left, top, right and bottom of further things that labels had better not cross.
        frame: Width and height within which labels must stay.
        scale: How large a dot and its surroundings are, for units other than pixels.

    Returns:
        One place a label.
    """
    if not dots:
        return []
    offsets = [_candidates(size, scale) for size in sizes]
    boxes = [_around(np.array(dot) + shift[:, :2], size) for dot, shift, size in zip(dots, offsets, sizes, strict=True)]
    marks = _around(np.array(dots, dtype=float), (2 * DOT * scale, 2 * DOT * scale))
    lines = np.array(bars, dtype=float).reshape(-1, 4)
    alone = [
        shift[:, 2]
        + COVERED_DOT * _shared(box, marks).sum(axis=1)
        + COVERED_BAR * (_shared(box, lines) > 0).sum(axis=1)
        + OUTSIDE * _outside(box, frame)
        for shift, box in zip(offsets, boxes, strict=True)
    ]
    chosen = [int(cost.argmin()) for cost in alone]
    for _ in range(PASSES):
        before = list(chosen)
        for i, box in enumerate(boxes):
            others = np.array([boxes[j][chosen[j]] for j in range(len(boxes)) if j != i]).reshape(-1, 4)
            chosen[i] = int((alone[i] + COVERED_LABEL * _shared(box, others).sum(axis=1)).argmin())
        if chosen == before:
            break
    return [
        Placed(float(shift[at, 0]), float(shift[at, 1]), bool(shift[at, 3] > CLEARANCES[1]))
        for shift, at in zip(offsets, chosen, strict=True)
    ]


def _candidates(size: Pair, scale: float) -> Float[np.ndarray, "places 4"]:
    """Shifts to the right and down, what each costs by itself, and its clearance from the dot."""
    places = []
    for clearance in CLEARANCES:
        for turn in range(DIRECTIONS):
            angle = 2 * pi * turn / DIRECTIONS
            right, up = cos(angle), sin(angle)
            # To the right is best, then above, then below, then to the left.
            taste = 3.0 * (1 - right) + (1.5 if up < -0.1 else 0.0) + (1.0 if 0.1 < abs(up) < 0.9 else 0.0)
            places.append(
                (
                    right * (scale * clearance + size[0] / 2),
                    -up * (scale * clearance + size[1] / 2),
                    clearance + taste,
                    clearance,
                )
            )
    return np.array(places)


def _around(middles: Float[np.ndarray, "boxes 2"], size: Pair) -> Boxes:
    half = np.array(size) / 2
    return np.concatenate([middles - half, middles + half], axis=1)


def _shared(one: Boxes, other: Boxes) -> Float[np.ndarray, "one other"]:
    """Area that each box shares with each other box."""
    low = np.maximum(one[:, np.newaxis, :2], other[np.newaxis, :, :2])
    high = np.minimum(one[:, np.newaxis, 2:], other[np.newaxis, :, 2:])
    area: Float[np.ndarray, "one other"] = np.clip(high - low, 0.0, None).prod(axis=-1)
    return area


def _outside(box: Boxes, frame: Pair) -> Float[np.ndarray, " boxes"]:
    beyond: Float[np.ndarray, " boxes"] = np.clip(-box[:, :2], 0.0, None).sum(axis=1)
    beyond += np.clip(box[:, 2:] - np.array(frame), 0.0, None).sum(axis=1)
    return beyond
