"""The first look at scores: how many there are, between what bounds, and a few of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.exact_sum import exact_sum, sum_of
from holdfast.algebra.ranks import Ranks
from holdfast.core.errors import NotMeasurable

EVERY: Final = 127
"""Of how many scores one is in the sample; a prime, so that it meets every column of a matrix of a usual width."""

_FAULTS: Final = ("", "infinite", "below 0", "not a number")


class Scores:
    """Scores by name, of which the last one asked for is kept and no other.

    Args:
        tensors: What this process holds of every tensor of scores; each may be made when it is asked for.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self._last: tuple[str, Tensor] | None = None

    def __getitem__(self, name: str) -> Tensor:
        if self._last is None or self._last[0] != name:
            self._last = None
            self._last = name, self._tensors[name].detach()
        return self._last[1]


@dataclass(frozen=True)
class Survey:
    """What a look at some tensors of scores told, each by name.

    Attributes:
        shapes: Shape of the part that is held here.
        devices: Where it lies.
        samples: Every 127th score of it, in float32.
        sizes: How many scores there are, over all processes.
        least: The least of them; infinite where there are none.
        most: The greatest; minus infinity where there are none.
        sums: Their exact sum; empty where sums were not asked for.
    """

    shapes: dict[str, tuple[int, ...]]
    devices: dict[str, torch.device]
    samples: dict[str, Float[Tensor, " some"]]
    sizes: dict[str, int]
    least: dict[str, float]
    most: dict[str, float]
    sums: dict[str, Fraction]

    def size(self, names: Iterable[str]) -> int:
        """How many scores there are in some of the tensors, over all processes."""
        return sum(self.sizes[name] for name in names)


def survey(scores: Scores, names: Sequence[str], ranks: Ranks, *, sums: bool = False) -> Survey:
    """Look at tensors of scores, each once.

    Args:
        scores: All scores.
        names: Those to be looked at.
        ranks: The processes that hold them.
        sums: Whether to add them up.

    Raises:
        NotMeasurable: If a score is below 0, infinite, or not a number: in every process, whichever of them holds it.
    """
    shapes, devices, samples = {}, {}, {}
    bounds = torch.tensor([torch.inf, -torch.inf]).repeat(len(names), 1)
    units, sizes = [], []
    for row, name in zip(bounds, names, strict=True):
        whole = scores[name]
        flat = whole.reshape(-1)
        shapes[name], devices[name] = tuple(whole.shape), whole.device
        sizes.append(len(flat))
        # A copy, or it would keep the tensor from which it was taken.
        samples[name] = flat[::EVERY].to(torch.float32, copy=True)
        if len(flat):
            row.copy_(torch.stack(flat.aminmax()))
        if sums:
            units.append(exact_sum(flat))
    _check(bounds, names, ranks)
    added = [sum_of(row) for row in ranks.sum(torch.stack(units))] if units else []
    return Survey(
        shapes,
        devices,
        samples,
        dict(zip(names, ranks.sum(torch.tensor(sizes)).tolist(), strict=True)),
        dict(zip(names, ranks.least(bounds[:, 0]).tolist(), strict=True)),
        dict(zip(names, ranks.most(bounds[:, 1]).tolist(), strict=True)),
        dict(zip(names, added, strict=sums)),
    )


def _check(bounds: Float[Tensor, "names 2"], names: Sequence[str], ranks: Ranks) -> None:
    """Raise if there is a score that has no place in an order; no process goes on alone."""
    least, most = bounds.unbind(1)
    faults = torch.where(least.isnan(), 3, torch.where(least < 0, 2, (most == torch.inf).long()))
    for name, fault in zip(names, ranks.most(faults).tolist(), strict=True):
        if fault:
            raise NotMeasurable(
                f"order of scores: '{name}' has a score that is {_FAULTS[fault]}, and only finite scores from 0 up can "
                "be compared: look at what they were computed from"
            )
