"""What is chosen: whole tensors, rows of them, or single scalars; and which tensors may be."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from holdfast.core.errors import HoldfastError
from holdfast.methods.isolation.eligible import Eligible, inner_matrices
from holdfast.methods.probing.choosing import Extent
from holdfast.weights.bare import tied

Granularity = Literal["tensor", "row", "scalar"]
"""What is chosen or not as a whole. Rows are what the first dimension counts: the outputs of a linear layer."""

WIDE = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def eligible_tensors(model: nn.Module, which: Eligible, who: str) -> dict[str, nn.Parameter]:
    """The tensors that may be trained, each storage once, in the order of the model.

    Args:
        model: The bare model.
        which: ``matrices`` inside decoder blocks, or ``all``.
        who: The method that asks, for messages.

    Raises:
        HoldfastError: If there are none, or their values are quantised.
    """
    tensors = dict(model.named_parameters())
    names = set(tensors) if which == "all" else inner_matrices(model, tensors)
    found = {name: tensor for name, tensor in tensors.items() if name in names and tensor.numel()}
    for name, tensor in found.items():
        require_wide(name, tensor, who)
    if not found:
        raise HoldfastError(
            f"{who} trains chosen tensors, and of {len(tensors)} in this {type(model).__name__} none is a matrix "
            "in a decoder block (some quantised weights are no parameters); give eligible='all' to choose among all"
        )
    return found


def require_wide(name: str, tensor: Tensor, who: str) -> None:
    """Refuse a tensor whose values are quantised: steps of training have no place in it.

    Raises:
        HoldfastError: If it is such a tensor.
    """
    if tensor.dtype not in WIDE:
        raise HoldfastError(
            f"{who}: '{name}' is held in {str(tensor.dtype).removeprefix('torch.')}, and quantised weights cannot be "
            "trained; open the model in bfloat16 or float32, or train an adapter on it"
        )


def other_names(model: nn.Module) -> dict[str, tuple[str, ...]]:
    """The further names of tensors that have several, by the name under which they are listed."""
    listed = {name for name, _ in model.named_parameters()}
    found = {}
    for names in tied(model):
        first = next(name for name in names if name in listed)
        found[first] = tuple(name for name in names if name != first)
    return found


def mean_of_units(values: Tensor, granularity: Granularity) -> Tensor:
    """The mean over each unit: of shape () for the whole tensor, (rows,) for rows, its own for scalars; in float64.

    Scalars stay in float32, since there are as many as the tensor has.
    """
    if granularity == "scalar":
        return values.float()
    if granularity == "tensor" or values.ndim < 1:
        return values.double().mean()
    return values.double().reshape(values.shape[0], -1).mean(dim=1)


def unit_shape(tensor: Tensor, granularity: Granularity) -> tuple[int, ...]:
    """The shape of what `mean_of_units` makes of a tensor."""
    if granularity == "tensor":
        return ()
    return tuple(tensor.shape[:1]) if granularity == "row" else tuple(tensor.shape)


def extent_of(tensor: Tensor, granularity: Granularity) -> Extent:
    """How many units a tensor has, and how large they are."""
    units = math.prod(unit_shape(tensor, granularity))
    return Extent(units, tensor.numel() // units)


def over_entries(units: Tensor, tensor: Tensor) -> Tensor:
    """What is said of units, said of every entry of the tensor: a view that spreads over it."""
    return units.reshape(*units.shape, *(1,) * (tensor.ndim - units.ndim)).expand(tensor.shape)
