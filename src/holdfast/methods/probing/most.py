"""How many parameters a choice can come to, before it is made."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from holdfast.algebra.ranking import share_of
from holdfast.methods.probing.choosing import Budget
from holdfast.methods.probing.units import Granularity


def most_params(tensors: Mapping[str, Tensor], ratio: float, budget: Budget, granularity: Granularity) -> int:
    """Scalars of the tensors that can be trained at most; those of which rows or scalars are chosen count whole.

    Args:
        tensors: What is eligible; shapes without values will do.
        ratio: Share that is trained.
        budget: Of what.
        granularity: What is chosen as a whole.
    """
    sizes = sorted((tensor.numel() for tensor in tensors.values()), reverse=True)
    if granularity != "tensor":
        return sum(sizes)
    if budget == "params":
        return share_of(ratio, sum(sizes))
    return sum(sizes[: share_of(ratio, len(sizes))])
