"""How uneven a profile is, as published and without the size of the update in it."""

from __future__ import annotations

from typing import Final

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from holdfast.core.errors import NotMeasurable

WINDOW: Final = 5
"""Points of the moving average, as in PEFT-Arena."""


def fluctuation(curve: Float[Tensor, " k"]) -> float:
    """How far a profile departs from its own moving average over 5 points, on average; the ends are reflected.

    The "smoothness" of PEFT-Arena, low where smooth. It grows in proportion to the update, so by itself it tells small
    from large: see `relative_fluctuation`.

    Raises:
        NotMeasurable: If the profile has fewer than 5 points.
    """
    if len(curve) < WINDOW:
        raise NotMeasurable(f"fluctuation of a profile of {len(curve)} points: the moving average takes {WINDOW}")
    points = curve.double()
    padded = pad(points[None], (WINDOW // 2, WINDOW // 2), mode="reflect")[0]
    return float((points - padded.unfold(0, WINDOW, 1).mean(-1)).abs().mean())


def relative_fluctuation(curve: Float[Tensor, " k"]) -> float:
    """Fluctuation over the mean of the profile: the same for an update of any size.

    Raises:
        NotMeasurable: If the profile has fewer than 5 points or is zero throughout.
    """
    departure, mean = fluctuation(curve), float(curve.double().mean())
    if mean == 0:
        raise NotMeasurable("relative fluctuation of a profile that is 0 throughout is undefined: was the update zero?")
    return departure / mean
