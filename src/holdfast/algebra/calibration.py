"""What makes the scores of different groups comparable before one threshold is laid through all of them.

Importance differs by orders of magnitude between layers, so that a threshold over raw scores chooses nearly all of some
layers and nothing of others. A group is usually a decoder block. Multiplying all scores of a group by a constant leaves
its calibrated scores as they are, but for the rounding of products and quotients, which may turn the order of two
scores of different groups that are equal to seven digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final, Literal, get_args

from holdfast.algebra.ranks import Ranks
from holdfast.algebra.scale import Scale
from holdfast.algebra.search import search
from holdfast.algebra.survey import Scores, Survey
from holdfast.core.errors import NotMeasurable, unknown

Calibration = Literal["minmax", "mean", "quantile", "none"]
"""How scores are calibrated within a group.

``minmax`` to [0, 1] by the least and the greatest, which rest on a single scalar each; a group without spread scores 0.
``mean`` divides by the mean, ``quantile`` by the 0.99 quantile, ``none`` leaves them as they are.
"""

QUANTILE: Final = Fraction(99, 100)
"""The least score that is not below this share of the scores of a group."""


def check_calibration(calibration: str) -> None:
    """Refuse a name that stands for no calibration.

    Raises:
        ValueError: If it is not known.
    """
    if calibration not in get_args(Calibration):
        raise ValueError(unknown("calibration", calibration, get_args(Calibration)))


def scales(
    scores: Scores, told: Survey, groups: Mapping[str, str], calibration: Calibration, ranks: Ranks
) -> dict[str, Scale]:
    """How the scores of every tensor are calibrated.

    Args:
        scores: All scores; looked at again for quantiles only.
        told: What a survey told of them, sums among it for means.
        groups: The group of every tensor.
        calibration: The way.
        ranks: The processes that hold the scores: bounds, means and quantiles are those of all of them.

    Raises:
        NotMeasurable: If quantiles are asked for and that of a group is 0 though not all of its scores are.
    """
    members: dict[str, list[str]] = {}
    for name in told.sizes:
        members.setdefault(groups[name], []).append(name)
    found: dict[str, Scale] = {}
    for group, names in members.items():
        scale = _scale(scores, told, group, names, calibration, ranks) if told.size(names) else Scale()
        found |= dict.fromkeys(names, scale)
    return found


def _scale(
    scores: Scores, told: Survey, group: str, names: Sequence[str], calibration: Calibration, ranks: Ranks
) -> Scale:
    most = max(told.most[name] for name in names)
    match calibration:
        case "minmax":
            least = min(told.least[name] for name in names)
            return Scale(least, most - least)
        case "mean":
            return Scale(unit=float(sum(told.sums[name] for name in names) / told.size(names)))
        case "quantile":
            # The rank from above of the score at or below which lies the share.
            rank = told.size(names) - -int(-QUANTILE * told.size(names) // 1) + 1
            unit = search(scores, names, told, dict.fromkeys(names, Scale()), rank, ranks).threshold
            if not unit and most:
                raise NotMeasurable(
                    f"scores over their 0.99 quantile: of those of '{group}' at least 99 % are 0, and so is the "
                    "quantile: calibrate by minmax or mean, or leave out what is never used"
                )
            return Scale(unit=unit)
        case "none":
            return Scale()
