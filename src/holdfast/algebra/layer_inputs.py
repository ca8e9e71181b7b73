"""What a linear layer reads on some data: enough of it to say what any update of the layer does there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.delta import Delta, exact
from holdfast.algebra.moments import CHUNK_ROWS, require_finite
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable


class Inputs(ABC):
    """What one linear layer of the base reads on some data, as far as an update of the layer can tell."""

    @property
    @abstractmethod
    def width(self) -> int:
        """How many inputs the layer has."""

    @property
    @abstractmethod
    def tokens(self) -> int:
        """How many tokens were read."""

    @abstractmethod
    def __add__(self, other: Self) -> Self:
        """The inputs on both sets of tokens."""

    @abstractmethod
    def energy(self, change: Delta) -> float:
        """Mean of ``|dW h|^2`` over the inputs h; a weight is a change too, from zero.

        Raises:
            NotMeasurable: If no token was read, or the change is one of a vector.
            IncompatibleUpdate: If the change has another number of inputs.
        """

    @abstractmethod
    def size(self) -> float:
        """Mean of ``|h|^2`` over the inputs h.

        Raises:
            NotMeasurable: If no token was read.
        """

    def _check(self, change: Delta | None = None) -> None:
        if not self.tokens:
            raise NotMeasurable("drift on no tokens: give it data")
        if change is not None and len(change.shape) != 2:
            raise NotMeasurable(f"drift by a change of shape {change.shape}: defined for matrices only")
        if change is not None and change.shape[1] != self.width:
            raise IncompatibleUpdate(
                f"the change reads {change.shape[1]} inputs and the layer reads {self.width}: "
                "do they belong to one layer, and is the change outputs by inputs?"
            )


@dataclass(frozen=True, eq=False)
class SecondMoment(Inputs):
    """The inputs of a layer by their second moment: exact, and as large as the number of inputs squared.

    Attributes:
        count: How many tokens were read.
        total: Sum of ``h h^T`` in float64.
    """

    count: int
    total: Float[Tensor, "inputs inputs"]

    @staticmethod
    def of(rows: Float[Tensor, "tokens inputs"], site: str = "rows") -> SecondMoment:
        """The second moment of input rows in any precision.

        Raises:
            NotMeasurable: If a number is not finite.
        """
        require_finite(rows, site)
        total = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64, device=rows.device)
        for chunk in torch.split(rows, CHUNK_ROWS):
            wide = chunk.double()
            total.addmm_(wide.T, wide)
        return SecondMoment(len(rows), total)

    @property
    def width(self) -> int:
        return self.total.shape[0]

    @property
    def tokens(self) -> int:
        return self.count

    def __add__(self, other: Self) -> Self:
        return type(self)(self.count + other.count, self.total + other.total)

    def energy(self, change: Delta) -> float:
        """Mean of ``|dW h|^2``, the trace of ``dW C dW^T``: through its factors where the change is held as such."""
        self._check(change)
        factors = change.factors()
        if factors is None:
            dense = change.dense().to(self.total)
            total = ((dense @ self.total) * dense).sum()
        else:
            left, right = (factor.to(self.total) for factor in factors)
            total = ((right @ self.total @ right.T) * (left.T @ left)).sum()
        # A sum that rounding leaves below 0 belongs to a change that the inputs never meet.
        return max(0.0, float(total)) / self.count

    def size(self) -> float:
        self._check()
        return float(self.total.trace()) / self.count


@dataclass(frozen=True, eq=False)
class TokenSample(Inputs):
    """The inputs of a layer by a sample of tokens: for layers so wide that a second moment would not fit.

    Attributes:
        rows: One token a row.
    """

    rows: Float[Tensor, "tokens inputs"]

    @staticmethod
    def of(rows: Float[Tensor, "tokens inputs"], site: str = "rows") -> TokenSample:
        """A sample of input rows in any precision.

        Raises:
            NotMeasurable: If a number is not finite.
        """
        require_finite(rows, site)
        return TokenSample(exact(rows))

    @property
    def width(self) -> int:
        return self.rows.shape[1]

    @property
    def tokens(self) -> int:
        return len(self.rows)

    def __add__(self, other: Self) -> Self:
        return type(self)(torch.cat([self.rows, other.rows]))

    def energy(self, change: Delta) -> float:
        self._check(change)
        change = change.to(self.rows.device)
        parts = torch.split(self.rows, CHUNK_ROWS)
        return sum(float((change.times(part).double() ** 2).sum()) for part in parts) / self.tokens

    def size(self) -> float:
        self._check()
        return float((self.rows.double() ** 2).sum()) / self.tokens
