"""A step up the slope before every gradient: sharpness-aware minimisation."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

from holdfast.algebra.delta import Dense, exact, frobenius_norm
from holdfast.methods.widening.displacement import Displacement
from holdfast.weights.update import Update

Scale = Callable[[str, Tensor], Tensor | float]
"""How far a scalar may go, by the name and the values of its tensor."""


class Ascent(Displacement):
    """Gradients at ``weights + rho * T^2 g / |T g|``, with g the gradient at the weights and T a scale of every scalar.

    Each micro-batch climbs by its own gradient, in a pass before the one that counts. A scaler of mixed precision
    cancels out. Where a gradient has no direction, being 0 or not finite, its micro-batch stays at the clean weights;
    how often is counted. The optimizer, and a scaler, then see the gradient there as they would have without ascent.

    Cost: beside the copy of the weights one more gradient, which is freed before the second pass.

    Args:
        model: What is trained.
        rho: Length of the ascent; at 0 there is one pass, at the clean weights.
        scale: T; 1 everywhere without.
        who: The method, for messages.

    Attributes:
        without_slope: In how many micro-batches there was no direction to climb.
    """

    def __init__(self, model: nn.Module, rho: float, scale: Scale = lambda name, tensor: 1.0, who: str = "sam") -> None:
        super().__init__(model, who)
        self._rho, self._scale = rho, scale
        self._accumulated: dict[str, Tensor | None] | None = None
        self._uphill: dict[str, Tensor] = {}
        self.without_slope = 0

    @property
    def passes(self) -> int:
        return 2 if self._rho else 1

    def before_pass(self, step: int, micro_batch: int, turn: int) -> None:
        if not self._rho:
            return
        if turn:
            self._climb()
            return
        self.after_pass()
        # What earlier micro-batches have added up is laid aside, so that this one's gradient is seen alone.
        self._accumulated = {name: tensor.grad for name, tensor in self.tensors.items()}
        for tensor in self.tensors.values():
            tensor.grad = None

    def after_pass(self) -> None:
        if self._accumulated is not None:
            self._uphill = {name: tensor.grad for name, tensor in self.tensors.items() if tensor.grad is not None}
            for name, gradient in self._accumulated.items():
                self.tensors[name].grad = gradient
            self._accumulated = None
        super().after_pass()

    def _climb(self) -> None:
        directions, lengths = {}, []
        for name, gradient in self._uphill.items():
            scale = self._scale(name, self.tensors[name].detach())
            slope = exact(gradient) * scale
            lengths.append(frobenius_norm(slope))
            directions[name] = Dense(slope * scale)
        self._uphill = {}
        length = math.hypot(*lengths)
        if 0 < length < math.inf:
            self._displace(Update(directions), self._rho / length)
        else:
            self.without_slope += 1
