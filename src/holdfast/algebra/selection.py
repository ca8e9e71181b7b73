"""The largest or smallest scores of a model, exactly as many as asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.bits import Bits
from holdfast.algebra.calibration import Calibration, check_calibration, scales
from holdfast.algebra.mask import Mask
from holdfast.algebra.ranks import ALONE, Ranks
from holdfast.algebra.search import Found, search
from holdfast.algebra.survey import Scores, survey
from holdfast.algebra.uniform import Uniform
from holdfast.core.errors import unknown

Each = Literal["all", "group", "tensor"]
"""Of what the share is taken: of all scalars together, of every group, or of every tensor."""


@torch.no_grad()
def top(
    scores: Mapping[str, Float[Tensor, "*shape"]],
    share_frac: float,
    *,
    groups: Mapping[str, str] | None = None,
    calibration: Calibration = "minmax",
    each: Each = "all",
    largest: bool = True,
    ranks: Ranks = ALONE,
) -> Mask:
    """The scalars with the largest calibrated scores, exactly ``floor(share_frac * n)`` of n.

    Of equal scores the first are taken, in the order of the names and then of the positions in the whole tensor, so
    that several processes choose what one would. Within a group calibration never changes the order, and is left out
    where every group or tensor has its own share.

    Memory: one tensor of scores, some bits a scalar for masks, and 40 bytes for each score near the threshold, which
    are at most one in 64.

    Args:
        scores: What this process holds of every tensor of scores, from 0 up; a tensor is asked for once where every
            tensor has its own share, else twice, for quantiles three times, and rarely once more. Scores are compared
            as float32, whatever their precision.
        share_frac: Share to be chosen, read as the decimal number that is printed: 0.07 of 100 are 7.
        groups: Group of every tensor, within which scores are calibrated; every tensor is its own without.
        calibration: What makes groups comparable.
        each: Of what the share is taken.
        largest: Whether the largest or the smallest scores are chosen.
        ranks: The processes that hold the scores.

    Raises:
        NotMeasurable: If scores cannot be ordered or calibrated.
        ValueError: If the share is not in [0, 1], a tensor has no group, or a choice is not known.
    """
    share = _exact(share_frac)
    check_calibration(calibration)
    names, held, found = list(scores), Scores(scores), dict[str, Bits]()
    for pool in _pools(names, groups, each):
        told = survey(held, pool, ranks, sums=each == "all" and calibration == "mean")
        count = floor(share * told.size(pool))
        if count == 0:
            found |= {name: Bits.none(told.shapes[name], device=told.devices[name]) for name in pool}
            continue
        own = groups or {name: name for name in pool}
        known = scales(held, told, own, calibration if each == "all" else "none", ranks)
        rank = count if largest else told.size(pool) - count + 1
        found |= _filled(search(held, pool, told, known, rank, ranks), count, largest, ranks)
    return Mask({name: found[name] for name in names})


def random(
    shapes: Mapping[str, tuple[int, ...]],
    share_frac: float,
    seed: int,
    *,
    groups: Mapping[str, str] | None = None,
    each: Each = "all",
    starts: Mapping[str, int] | None = None,
    ranks: Ranks = ALONE,
    device: torch.device | str = "cpu",
) -> Mask:
    """Scalars at random, exactly ``floor(share_frac * n)`` of n: a function of seed, names and positions alone.

    Every scalar draws one of 2^24 numbers, and the largest are chosen.

    Args:
        shapes: Shape of what this process holds of every tensor.
        share_frac: Share to be chosen.
        seed: Another one gives another choice, independent of the first.
        groups: Group of every tensor; every tensor is its own without.
        each: Of what the share is taken.
        starts: At which position of the whole tensor the part begins that is held here; 0 without.
        ranks: The processes that hold the tensors.
        device: Where the numbers are drawn, and the mask lies.

    Raises:
        ValueError: If the share is not in [0, 1], a tensor has no group, or a choice is not known.
    """
    drawn = Uniform(shapes, seed, starts or {}, torch.device(device))
    return top(drawn, share_frac, groups=groups, calibration="none", each=each, ranks=ranks)


def _exact(share_frac: float) -> Fraction:
    if not 0 <= share_frac <= 1:
        raise ValueError(f"a share lies in [0, 1], and {share_frac} does not: 1 % is 0.01")
    return Fraction(repr(float(share_frac)))


def _pools(names: Sequence[str], groups: Mapping[str, str] | None, each: Each) -> list[list[str]]:
    """The tensors of which one share is taken together."""
    if groups is not None and (alone := [name for name in names if name not in groups]):
        raise ValueError(
            f"calibration of groups: '{alone[0]}' has none; name the group of every tensor, or of no tensor"
        )
    if each not in get_args(Each):
        raise ValueError(unknown("share", each, get_args(Each)))
    if each == "all":
        return [list(names)] if names else []
    together: dict[str, list[str]] = {}
    for name in names:
        together.setdefault(groups[name] if each == "group" and groups is not None else name, []).append(name)
    return list(together.values())


def _filled(found: Found, count: int, largest: bool, ranks: Ranks) -> dict[str, Bits]:
    """What lies beyond the threshold, and of what lies on it the first, up to the count."""
    sure = found.above if largest else {name: ~(bits | found.equal[name]) for name, bits in found.above.items()}
    missing = count - int(ranks.sum(torch.tensor(sum(bits.count() for bits in sure.values()))))
    here = torch.tensor(list(found.ties.values()))
    everywhere = ranks.sum(here)
    # Ties that come before those held here: of earlier tensors, all; of the same one, those of earlier rows.
    before = everywhere.cumsum(0) - everywhere + ranks.before(here)
    chosen = {}
    for (name, bits), own, quota in zip(found.equal.items(), here.tolist(), (missing - before).tolist(), strict=True):
        chosen[name] = sure[name] | (bits if quota >= own else bits.first(max(0, quota)))
    return chosen
