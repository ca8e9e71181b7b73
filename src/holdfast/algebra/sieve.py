"""One pass over scores: what lies beyond two thresholds, and what between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.bits import Bits
from holdfast.algebra.packing import pack, places, stretch
from holdfast.algebra.scale import Scale
from holdfast.algebra.survey import Scores


@dataclass(frozen=True)
class Sieve:
    """What one pass saw of the scores that are held here.

    Attributes:
        above: What of every tensor is calibrated to more than the upper threshold.
        inside: What lies between the thresholds or on one of them.
        kept: The calibrated scores of these, in order, for every tensor that has any; fewer, spread evenly, where they
            would be too many; none where the thresholds are one.
        thinned: Whether they are fewer.
    """

    above: dict[str, Bits]
    inside: dict[str, Bits]
    kept: dict[str, Float[Tensor, " some"]]
    thinned: bool

    def counts(self) -> tuple[int, int]:
        """How many scores lie above, and how many inside."""
        above, inside = (sum(bits.count() for bits in held.values()) for held in (self.above, self.inside))
        return above, inside


def sieve(
    scores: Scores, names: Sequence[str], scales: Mapping[str, Scale], bottom: float, top: float, limit: int
) -> Sieve:
    """Look at every score once.

    Args:
        scores: All scores.
        names: The tensors that are meant.
        scales: How the scores of each are calibrated.
        bottom: The lower threshold, a calibrated score.
        top: The upper.
        limit: How many of those between are kept at most.
    """
    above, inside, few = {}, {}, _Few(limit)
    for name in names:
        whole, scale = scores[name], scales[name]
        low, high = scale.reaching(bottom), scale.beyond(top)
        upper, between = [], []
        for run in torch.split(whole.reshape(-1), stretch(whole.device)):
            values = run.float()
            upper.append(pack(values >= high))
            between.append(pack(values >= low).bitwise_xor_(upper[-1]))
            if bottom < top:
                few.add(name, values[places(between[-1])])
        above[name], inside[name] = (Bits(torch.cat(runs), whole.shape) for runs in (upper, between))
    kept = {name: scales[name].of(torch.cat(parts)) for name, parts in few.by_name().items()}
    return Sieve(above, inside, kept, few.thinned)


class _Few:
    """Scores by name, of which every other one is dropped whenever there are too many."""

    def __init__(self, limit: int) -> None:
        self.thinned = False
        self._limit, self._every, self._count = limit, 1, 0
        self._parts: list[tuple[str, Tensor]] = []

    def add(self, name: str, scores: Tensor) -> None:
        self._keep([(name, scores[:: self._every])])
        if self._count > self._limit:
            parts, self._parts, self._count = self._parts, [], 0
            self.thinned, self._every = True, self._every * 2
            # Of parts that are a single score every other one stays.
            self._keep([(name, kept[number % 2 :: 2].clone()) for number, (name, kept) in enumerate(parts)])

    def by_name(self) -> dict[str, list[Tensor]]:
        found: dict[str, list[Tensor]] = defaultdict(list)
        for name, scores in self._parts:
            found[name].append(scores)
        return found

    def _keep(self, parts: Iterable[tuple[str, Tensor]]) -> None:
        for name, scores in parts:
            if len(scores):
                self._parts.append((name, scores))
                self._count += len(scores)
