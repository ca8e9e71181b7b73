"""The axis of distances: in ratios, told as sigma and below it as a length."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import Final

from holdfast.report.basin.phrases import sigma_text
from holdfast.report.basin.seen import Seen
from holdfast.report.frame import Figure, axis
from holdfast.report.labels import Pair
from holdfast.report.palette import SOFT

FIRST_DIGITS: Final = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8))
FEWEST, MOST = 3, 7


def tick_sigmas(low: float, high: float, most: int = MOST) -> tuple[float, ...]:
    """Round distances between two, as few kinds of first digits as give enough of them.

    Args:
        low: The nearest, above 0.
        high: The farthest.
        most: How many there is room for; of more, every second, third and so on is kept.
    """
    found: list[float] = []
    for digits in FIRST_DIGITS:
        powers = range(floor(log10(low)), ceil(log10(high)) + 1)
        found = [each for power in powers for digit in digits if low <= (each := digit * 10.0**power) <= high]
        if len(found) >= FEWEST:
            break
    return tuple(found[:: ceil(len(found) / most)]) if found else (low, high)


def sigma_axis(view: Seen, ends: Pair, *, most: int = MOST, lengths: bool = True) -> Figure:
    """The axis for plotly, with lengths below the distances or without."""
    ticks = tick_sigmas(*ends, most)
    return {
        **axis("sigma, and length below it" if lengths else "sigma"),
        "type": "log",
        "range": [log10(end) for end in ends],
        "tickmode": "array",
        "tickvals": list(ticks),
        "ticktext": [tick_text(view, each) if lengths else sigma_text(each) for each in ticks],
    }


def tick_text(view: Seen, sigma: float) -> str:
    """Sigma, and the length below it, smaller, as the markup that plotly understands."""
    return f'{sigma_text(sigma)}<br><span style="color:{SOFT};font-size:10.5px">{sigma_text(view.length(sigma))}</span>'
