"""Which weights of a model may be moved by any distance: those that stand for themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from holdfast.core.errors import NotMeasurable
from holdfast.core.sites import block_of

Keep = Callable[[str], bool]
"""Says of the name of a weight whether it is to be moved."""

_INSTEAD: Final = "open the model unquantised, or move an adapter on it, which is not quantised"


def movable(model: nn.Module, keep: Keep | None = None) -> dict[str, nn.Parameter]:
    """The weights of a model that are to be moved, by name; tied ones once, under their first name.

    Args:
        model: The model.
        keep: Takes a weight that has any name which this says yes to; without it, all are taken.

    Raises:
        NotMeasurable: If nothing is taken, or what is taken is quantised, or held in parts on several processes.
    """
    names: dict[nn.Parameter, list[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        names.setdefault(weight, []).append(name)
    taken = {known[0]: weight for weight, known in names.items() if keep is None or any(map(keep, known))}
    if not taken:
        raise NotMeasurable(
            f"none of the {len(names)} weights of this {type(model).__name__} is to be moved; choose by their names, "
            f"such as '{next(iter(names.values()))[0]}'"
            if names
            else f"this {type(model).__name__} has no weights to move"
        )
    if keep is None and _is_quantised(model):
        raise NotMeasurable(
            f"the weights of this {type(model).__name__} are quantised and have no neighbours: {_INSTEAD}"
        )
    for name, weight in taken.items():
        _check(name, weight)
    return taken


def in_blocks(*numbers: int) -> Keep:
    """Takes the weights of these decoder blocks, and none of the embeddings, the head and the last norm."""
    return lambda name: block_of(name)[0] in numbers


def _check(name: str, weight: Tensor) -> None:
    if type(weight) not in {nn.Parameter, Tensor} or type(weight.data) is not Tensor:
        raise NotMeasurable(
            f"'{name}' is a {type(weight).__name__} of a {type(weight.data).__name__}, packed or held in parts: "
            f"{_INSTEAD}, and gather what is sharded"
        )
    if not weight.is_floating_point() or weight.dtype.itemsize < torch.float16.itemsize:
        raise NotMeasurable(f"'{name}' is quantised ({weight.dtype}) and has no neighbours: {_INSTEAD}")


def _is_quantised(model: nn.Module) -> bool:
    """Whether a library has packed weights, which may then be buffers and no parameters at all."""
    return getattr(getattr(model, "config", None), "quantization_config", None) is not None
