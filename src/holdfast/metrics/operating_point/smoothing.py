"""Smoothing a curve over neighbouring points, even or uneven, as weights that keep items apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from jaxtyping import Float

WIDEST: Final = 0.25
"""How far three points may reach in t to be smoothed over: two steps of a grid of eleven points, and a little."""


def three_point_rows(places: Iterable[float]) -> Float[np.ndarray, "points points"]:
    """Weights that replace every score by that of a straight line through it and its two neighbours.

    On an even grid this is the mean of three points. The last point has neighbours on one side only and gets the end of
    the line, weights -1/6, 2/6, 5/6: a mean would pull it back on a curve that still rises. The base stays as it is,
    since its gain is known to be 0, and so does a point whose neighbours are farther off than `WIDEST`: a line over
    half the way cuts off the shoulder that is looked for. Two points alone stay as they are.

    Args:
        places: Where the points lie, ascending.

    Returns:
        One row of weights a point; each adds up to 1.
    """
    t = np.array(list(places))
    rows = np.eye(t.size)
    if t.size > 2:
        for i in range(1, t.size):
            start = min(i - 1, t.size - 3)
            if t[start + 2] - t[start] > WIDEST:
                continue
            near = t[start : start + 3] - t[start : start + 3].mean()
            here = near[i - start]
            rows[i] = 0.0
            rows[i, start : start + 3] = 1 / 3 + here * near / (near**2).sum()
    return rows
