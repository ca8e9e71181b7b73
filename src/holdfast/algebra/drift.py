"""Capability-conditioned drift: whether the data of a capability use the directions in which an update acts."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.delta import Delta, Dense
from holdfast.algebra.layer_inputs import Inputs
from holdfast.algebra.low_rank import LowRank
from holdfast.core.errors import NotMeasurable


@dataclass(frozen=True)
class Drift:
    """What an update of one layer does to what the layer says on some data (PEFT-Arena, arXiv 2605.28819).

    There is no epsilon in the denominators: what is undefined has a reason.

    Attributes:
        width: How many inputs the layer has.
        moved: Mean of ``|dW h|^2``.
        read: Mean of ``|h|^2``.
        said: Mean of ``|W0 h|^2``, if the weight was given.
        change: Frobenius norm of dW.
    """

    width: int
    moved: float
    read: float
    said: float | None
    change: float

    @property
    def absolute(self) -> float:
        """Mean squared change of the layer's output, its inputs those of the base."""
        return self.moved

    @property
    def relative(self) -> float:
        """The absolute drift as a share of the mean squared output of the base: size and direction together.

        Raises:
            NotMeasurable: If the weight was not given, or the base says nothing but zero.
        """
        if self.said is None:
            raise NotMeasurable("relative drift: the base weight was not given")
        if self.said == 0:
            raise NotMeasurable("relative drift: the layer of the base gives zero on every token")
        return self.moved / self.said

    @property
    def update_normalised(self) -> float:
        """The absolute drift as a share of the squared norms of update and inputs: direction without size.

        Raises:
            NotMeasurable: If the update is zero, or every input is.
        """
        if self.change == 0:
            raise NotMeasurable("update-normalised drift: zero update")
        if self.read == 0:
            raise NotMeasurable("update-normalised drift: the inputs of the layer are zero on every token")
        return self.moved / self.change**2 / self.read

    @property
    def alignment(self) -> float:
        """How much more the update acts on these data than on inputs without a preferred direction: 1 is no more.

        Raises:
            NotMeasurable: If the update is zero, or every input is.
        """
        return self.width * self.update_normalised


def drift(inputs: Inputs, change: Delta, weight: Float[Tensor, "outputs inputs"] | None = None) -> Drift:
    """The drift that a change of one layer makes on the data that its inputs come from, without a forward pass.

    Args:
        inputs: What the layer of the base reads on the data.
        change: The change of its weight, in any form.
        weight: Its weight in the base; only the relative drift needs it.

    Raises:
        NotMeasurable: If no token was read, or the change is one of a vector.
        IncompatibleUpdate: If change or weight has another number of inputs.
    """
    factors = change.factors()
    change = change.in_memory() if factors is None else LowRank(*factors)
    said = None if weight is None else inputs.energy(Dense(weight))
    return Drift(inputs.width, inputs.energy(change), inputs.size(), said, change.norm())
