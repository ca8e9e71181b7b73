"""The calibrated score of a rank, exactly, without a sort and without a copy of the scores.

A sample brackets the score that is looked for. One pass over the scores counts those beyond the bracket and keeps those
in it, which are few; the score is found among them. The counts tell whether the bracket was right; where it was not, or
holds too many, the next pass takes another. What is found does not depend on the sample, only how soon.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from holdfast.algebra.bits import Bits
from holdfast.algebra.radix import ranked
from holdfast.algebra.ranks import Ranks
from holdfast.algebra.scale import Scale
from holdfast.algebra.sieve import Sieve, sieve
from holdfast.algebra.survey import Scores, Survey

_DEVIATIONS: Final = 3.0
"""By how many standard deviations of a random sample the bracket reaches beyond its middle."""

_FEW: Final = 1 << 16
_SHARE: Final = 64
"""So many scores of a bracket are kept, or one in so many of those held here if that is more."""


@dataclass(frozen=True)
class Found:
    """Where the score of a rank lies.

    Attributes:
        threshold: The calibrated score.
        above: What of every tensor is calibrated to more.
        equal: What is calibrated to the same.
        ties: How many these are, here.
    """

    threshold: float
    above: dict[str, Bits]
    equal: dict[str, Bits]
    ties: dict[str, int]


def search(
    scores: Scores, names: Sequence[str], told: Survey, scales: Mapping[str, Scale], rank: int, ranks: Ranks
) -> Found:
    """The score of a rank among the calibrated scores of some tensors, and what lies above it.

    Args:
        scores: All scores.
        names: The tensors that are meant.
        told: What a survey told of them.
        scales: How the scores of each are calibrated.
        rank: 1 for the largest, the number of scores for the smallest.
        ranks: The processes that hold the scores.
    """
    low, high, above, size = 0.0, math.inf, 0, told.size(names)
    limit = max(_FEW, sum(math.prod(told.shapes[name]) for name in names) // _SHARE)
    device = told.devices[names[0]]
    sample = _together((scales[name].of(told.samples[name]) for name in names), device)
    last: tuple[float, float] | None = None
    while True:
        # The score lies in [low, high], where there are `size`, and `above` others lie beyond.
        bottom, top = _bracket(sample, low, high, (rank - above, size), ranks)
        if (bottom, top) == last:
            # Where the sample cannot part what the last pass saw, one value is either the one or out of the way.
            bottom = top = _middle(sample, (rank - above) / size, ranks)
        last = bottom, top
        seen = sieve(scores, names, scales, bottom, top, limit)
        beyond, inside, thinned = ranks.sum(torch.tensor([*seen.counts(), seen.thinned])).tolist()
        if rank <= beyond:
            low, size = math.nextafter(top, math.inf), beyond - above
            sample = sample[sample >= low]
        elif rank > beyond + inside:
            high, size, above = math.nextafter(bottom, 0.0), size + above - beyond - inside, beyond + inside
            sample = sample[sample <= high]
        elif bottom == top:
            ties = {name: bits.count() for name, bits in seen.inside.items()}
            return Found(top, seen.above, seen.inside, ties)
        else:
            low, high, size, above = bottom, top, inside, beyond
            sample = _together(seen.kept.values(), device)
            if not thinned:
                return _among(seen, ranked(sample, rank - above, ranks))


def _bracket(sample: Tensor, low: float, high: float, sought: tuple[int, int], ranks: Ranks) -> tuple[float, float]:
    """Two values of the sample between which the score should lie; the ends, where it has none so far out."""
    rank, size = sought
    known = int(ranks.sum(torch.tensor(len(sample))))
    share = rank / size
    middle, margin = share * known, _DEVIATIONS * math.sqrt(known * share * (1 - share)) + 2
    first, last = math.floor(middle - margin), math.ceil(middle + margin)
    top = ranked(sample, first, ranks) if first >= 1 else high
    bottom = ranked(sample, last, ranks) if last <= known else low
    return bottom, top


def _middle(sample: Tensor, share: float, ranks: Ranks) -> float:
    known = int(ranks.sum(torch.tensor(len(sample))))
    return ranked(sample, min(known, max(1, round(share * known))), ranks)


def _among(seen: Sieve, threshold: float) -> Found:
    """What lies above a threshold and on it, where all scores inside were kept."""
    above, ties = dict(seen.above), dict.fromkeys(seen.above, 0)
    equal = {name: Bits.none(bits.shape, device=bits.device) for name, bits in above.items()}
    for name, calibrated in seen.kept.items():
        positions, shape = seen.inside[name].positions(), seen.inside[name].shape
        above[name] |= Bits.at(positions[calibrated > threshold], shape)
        same = positions[calibrated == threshold]
        equal[name], ties[name] = Bits.at(same, shape), len(same)
    return Found(threshold, above, equal, ties)


def _together(parts: Iterable[Tensor], device: torch.device) -> Tensor:
    found = [part.to(device) for part in parts]
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64, device=device)
