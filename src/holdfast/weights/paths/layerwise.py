"""Layers levelled on the way back: the strong ones are weakened first, and all of them together after.

From the checkpoint at 1 the strongest layer is weakened until it is no stronger than the next, then both, and so on
down to a level; below that all are scaled alike, down to the base at 0. Where the level is reached lies the point
``W0 + c dW`` with ``c = min(1, level / strength)`` of each layer: with the level of the first five layers that is
SafeScale, with that of the weakest MinScale (PEFT-Arena, arXiv 2605.28819, which states the points and no way to them,
and does not say whether weak layers are strengthened: here none ever is).

``t`` is the length of what is scaled, as a share of the whole length. Weights are linear in what is scaled for
everything but rotations, and then ``t`` is the relative step, as on the uniform line: points of equal ``t`` on both are
equally far from the base, and a layer-wise point is worth no more than the uniform one beside it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from scipy.optimize import brentq

from holdfast.core.errors import NotMeasurable
from holdfast.core.sites import block_of
from holdfast.weights.bare import PREFIX
from holdfast.weights.paths.strengths import Rule, Strengths, reference

Place = int | str | None
"""Number of a layer, or name of a module, which goes before its layer; ``None`` for what lies outside the layers."""


@dataclass(frozen=True)
class Levelling:
    """Factors by which the changes of layers are multiplied along a path from a checkpoint, through a level, to a base.

    Attributes:
        strengths: Strength of each layer or module.
        lengths: Norm of what is scaled in each, and outside.
        level: The strength to which strong ones are brought, not above the largest.
    """

    strengths: Strengths
    lengths: Mapping[Place, float]
    level: float

    @classmethod
    def of(cls, strengths: Strengths, lengths: Mapping[str, float], rule: Rule) -> Self:
        """The levelling to the mean of the first five layers that moved, or to the weakest of those that did.

        Args:
            strengths: Strength of each layer or module.
            lengths: Norm of each weight or stored tensor that is scaled, by name.
            rule: To which level.

        Raises:
            NotMeasurable: If nothing moved in any layer, a layer has no strength, or there are too few for the mean.
        """
        norms: dict[Place, list[float]] = defaultdict(list)
        for name, length in lengths.items():
            norms[place_of(name, strengths)].append(length)
        found = {place: math.hypot(*each) for place, each in norms.items()}
        moved = {place: strength for place, strength in strengths.items() if strength and found.get(place)}
        if not moved:
            raise NotMeasurable("levelling the strengths of layers: no layer moved")
        return cls(strengths, found, reference(moved, rule))

    @cached_property
    def strongest(self) -> float:
        """The largest strength of what moved."""
        return max(strength for place, strength in self.strengths.items() if self.lengths.get(place))

    @cached_property
    def level_t(self) -> float:
        """Where on the path all are brought to the level, and nothing else is weakened yet."""
        return self._length_at(self.level)

    def factors(self, t: float) -> dict[Place, float]:
        """The factor of each layer or module at ``t``, and of what lies outside: 1 at 1, 0 at 0."""
        if t >= 1:
            return dict.fromkeys((None, *self.strengths), t)
        if t > self.level_t:
            return {None: 1.0, **level_to(self.strengths, self._level_at(t))}
        share = t / self.level_t
        return {None: share, **{place: share * c for place, c in level_to(self.strengths, self.level).items()}}

    def _length_at(self, level: float) -> float:
        factors: dict[Place, float] = {None: 1.0, **level_to(self.strengths, level)}
        left = math.hypot(*(factors[place] * length for place, length in self.lengths.items()))
        return left / math.hypot(*self.lengths.values())

    def _level_at(self, t: float) -> float:
        found: float = brentq(lambda share: self._length_at(share * self.strongest) - t, 0.0, 1.0, xtol=1e-14)
        return found * self.strongest


def level_to(strengths: Strengths, level: float) -> dict[Place, float]:
    """The factor ``min(1, level / strength)`` of each: strong ones are weakened, and none is strengthened."""
    return {place: min(1.0, level / strength) if strength else 1.0 for place, strength in strengths.items()}


def place_of(name: str, places: Collection[Place]) -> Place:
    """The module or layer among these in which a weight or stored tensor lies; ``None`` outside the layers.

    Raises:
        NotMeasurable: If it lies in a layer that is not among them.
    """
    inside = name.removeprefix(PREFIX)
    while inside:
        if inside in places:
            return inside
        inside, _, _ = inside.rpartition(".")
    layer, _ = block_of(name)
    if layer is not None and layer not in places:
        raise NotMeasurable(
            f"a factor for '{name}': layer {layer} was not measured; measure every layer that was changed"
        )
    return layer
