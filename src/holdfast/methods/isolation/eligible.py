"""Which tensors of a model have scalars that may be held, and which of them are compared with each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from torch import nn

from holdfast.core.errors import HoldfastError
from holdfast.core.sites import block_of

Eligible = Literal["matrices", "all"]
"""``matrices``: weights of linear maps inside decoder blocks; ``all``: whatever is trained.

Embeddings, head, norms and biases stay free by default: rows of tokens that never come up have no gradient and distort
what is normal in their group, and norms have few entries with large gradients that would fill the budget. Of an
adapter, all tensors are eligible.
"""

Group = Literal["block", "tensor", "model"]
"""What importance is calibrated within: a decoder block (each tensor outside of blocks by itself), a tensor, or all."""


def eligible_of(model: nn.Module, tensors: Mapping[str, nn.Parameter], which: Eligible) -> dict[str, nn.Parameter]:
    """The tensors whose scalars may be held.

    Args:
        model: The model that is trained.
        tensors: Its trainable tensors by name.
        which: Which of them.

    Raises:
        HoldfastError: If there are none.
    """
    possible = set(tensors) if which == "all" else inner_matrices(model, tensors)
    chosen = {name: tensor for name, tensor in tensors.items() if tensor.requires_grad and name in possible}
    if not chosen:
        found = f"{len(tensors)} trainable tensors, such as '{next(iter(tensors))}'" if tensors else "nothing trainable"
        raise HoldfastError(
            f"no scalar can be held: among {found}, none is a weight matrix inside a decoder block that is trained; "
            "give eligible='all' to choose among all trainable tensors"
        )
    return chosen


def inner_matrices(model: nn.Module, tensors: Mapping[str, nn.Parameter]) -> set[str]:
    """The names of the weight matrices inside decoder blocks; of an adapter, of all its tensors."""
    whole = hasattr(model, "peft_config")
    return {name for name, tensor in tensors.items() if whole or (tensor.ndim >= 2 and block_of(name)[0] is not None)}


def groups_of(names: Iterable[str], group: Group) -> dict[str, str]:
    """The group of every tensor."""
    if group == "model":
        return dict.fromkeys(names, "model")
    if group == "tensor":
        return {name: name for name in names}
    return {name: name if (block := block_of(name)[0]) is None else f"block {block}" for name in names}
