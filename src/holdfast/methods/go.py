"""GO, the Gaussian-augmented optimizer: gradients at noisy weights, steps of the clean ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from holdfast.core.errors import NotMeasurable
from holdfast.core.record import Record
from holdfast.methods.widening.displaced import Displaced
from holdfast.methods.widening.displacement import Displacement
from holdfast.methods.widening.noise import GaussianNoise


@dataclass(frozen=True)
class Go(Displaced):
    """Train the loss smoothed by Gaussian noise: every micro-batch sees fresh noise on all that is trained.

    The optimizer of the basin paper (arXiv 2505.17646) minimises ``E log p(x | weights + sigma * noise)``: forward and
    backward at noisy weights, the base optimizer's step on clean ones. Its paper trains from random weights, and gives
    no numbers that could be compared with. As in its code, noise is constant in size, alike on all scalars, new for
    every micro-batch, and on all tensors. Three things differ. Training starts at the base: that code takes a noisy
    copy for the clean one at first, and so begins a fine-tuning at ``base + noise``. Noise is added in float32 and
    rounded once, where there it is drawn in the weights' own precision. And the copy stays on the device.

    What is smoothed are the tensors that are trained. Of full training these are the weights, in the unit of the
    widths that are measured. Of an adapter they are its own factors: with noise on A and B the weights get
    ``B noise_A + noise_B A + noise_B noise_A`` (scaled as the adapter is), which depends on where the factors stand
    and is not Gaussian; the basin that widens is that of the adapter's coordinates, and the frozen base has no noise.

    Memory: one copy of what is trained, in its own precision. Time: no further pass of the model; the noise is drawn,
    added and taken away once a micro-batch, which costs as much for small batches as for large ones.

    Attributes:
        sigma: Standard deviation of the noise of every scalar; 0 is the inner method, bit for bit. 1e-3 is the
            default of the public code, whose runs took 5e-3 to 2e-2; it must be small beside the basin that is there.
        matrices_only: Leave out tensors of one dimension, norms and biases, near whose values half precision is coarse.
    """

    name: ClassVar[str] = "go"
    may_be_0: ClassVar[tuple[str, ...]] = ("sigma",)

    sigma: float = 1e-3
    matrices_only: bool = False

    def displacement(self, model: nn.Module, seed: int = 0) -> GaussianNoise:
        self.check()
        return GaussianNoise(model, self.sigma, seed, matrices_only=self.matrices_only, who=self.name)

    def record(self, displacement: Displacement) -> Sequence[Record]:
        assert isinstance(displacement, GaussianNoise), "it is this method's own"
        count = float(sum(tensor.numel() for tensor in displacement.tensors.values())) if self.sigma else 0.0
        noisy = Record(subject="run", quantity="noisy_params", site=self.name, value=count)
        try:
            frac = displacement.rounding().vanished_frac
            lost = Record(subject="run", quantity="noise_vanished_frac", site=self.name, value=frac, unit="frac")
        except NotMeasurable as reason:
            lost = Record(subject="run", quantity="noise_vanished_frac", site=self.name, reason=str(reason))
        return [noisy, lost]
