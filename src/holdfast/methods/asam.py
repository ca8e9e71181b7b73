"""ASAM: SAM in a ball that is measured in the size of every weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from holdfast.algebra.delta import exact
from holdfast.methods.sam import Sam
from holdfast.methods.widening.ascent import Ascent


@dataclass(frozen=True)
class Asam(Sam):
    """Adaptive SAM (Kwon et al., ICML 2021, arXiv 2102.11600): ``grad L(w + rho * T^2 g / |T g|)``, ``T = |w| + eta``.

    The elementwise form. As in its code, biases are not scaled (T = 1), while norms' weights are. All else is as in
    `holdfast.methods.sam.Sam`, of which it has the costs. On an adapter whose factor starts at 0, that factor climbs by
    eta alone at first.

    Attributes:
        rho: Length of the ascent in units of T; 0 is the inner method, bit for bit.
        eta: What is added to every size, so that weights of 0 may climb.
    """

    name: ClassVar[str] = "asam"
    may_be_0: ClassVar[tuple[str, ...]] = ("rho", "eta")

    rho: float = 0.5
    eta: float = 0.01

    def displacement(self, model: nn.Module, seed: int = 0) -> Ascent:
        self.check()
        return Ascent(model, self.rho, self._scale, self.name)

    def _scale(self, name: str, tensor: Tensor) -> Tensor | float:
        return 1.0 if name.endswith("bias") else exact(tensor).abs() + self.eta
