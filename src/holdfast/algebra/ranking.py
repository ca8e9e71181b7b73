"""What makes scores of different units comparable: min-max scaling, ranks, and exact choices from the top."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import floor

import torch
from torch import Tensor

from holdfast.core.errors import NotMeasurable

Units = Mapping[str, Tensor]
"""For every tensor the scores of its units: of shape () for the whole, (rows,) for rows, its own for scalars."""


def min_max(scores: Units) -> dict[str, Tensor]:
    """Scores of all tensors together on [0, 1]: the least is 0, the greatest 1; where all are alike, 0.

    Raises:
        NotMeasurable: If there are no scores, or one is no number.
    """
    flat = joined(scores)
    least, greatest = flat.min(), flat.max()
    spread = greatest - least
    if not spread > 0:
        return {name: torch.zeros_like(each) for name, each in scores.items()}
    return {name: (each - least.to(each)) / spread.to(each) for name, each in scores.items()}


def rank_shares(scores: Units) -> dict[str, Tensor]:
    """The rank of every score among all, over their number: 1 for the greatest; equal ones share their mean rank.

    Raises:
        NotMeasurable: If there are no scores, or one is no number.
    """
    flat = joined(scores)
    _, inverse, counts = torch.unique(flat, return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    mean = last - (counts.double() - 1) / 2
    return parted((mean / flat.numel())[inverse], scores)


def joined(scores: Units) -> Tensor:
    """All scores in one row, in the order of the tensors; in float64.

    Raises:
        NotMeasurable: If there are none, or one is no number.
    """
    rows = [each.reshape(-1).double().cpu() for each in scores.values()]
    flat = torch.cat(rows) if rows else torch.empty(0, dtype=torch.float64)
    if not flat.numel():
        raise NotMeasurable("there are no scores to be ranked: no tensor is eligible")
    if not bool(torch.isfinite(flat).all()):
        odd = next(name for name, each in scores.items() if not bool(torch.isfinite(each).all()))
        raise NotMeasurable(f"the scores of '{odd}' are no numbers, and cannot be ranked")
    return flat


def parted(flat: Tensor, like: Units) -> dict[str, Tensor]:
    """A row of all scores, as `joined` makes it, in the tensors that it came from."""
    found, start = {}, 0
    for name, each in like.items():
        found[name] = flat[start : start + each.numel()].reshape(each.shape)
        start += each.numel()
    return found


def share_of(share_frac: float, count: int) -> int:
    """A share of a count, exact and rounded down: the share is read as the decimal number that is printed."""
    return floor(Fraction(repr(float(share_frac))) * count)
