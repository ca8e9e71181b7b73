"""What the layers of a decoder block are for: attention, feed-forward, norms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from holdfast.core.errors import HoldfastError
from holdfast.core.sites import block_of

Kind = Literal["attention", "feed-forward", "norm"]

Units = dict[str, list[list[str]]]
"""For every block its layers, each with the names of its tensors."""

ATTENTION = ("attn", "attention")
FEED_FORWARD = ("mlp", "ffn", "feed_forward", "feedforward", "fc", "moe", "expert", "dense", "intermediate", "output")


def units_of(model: nn.Module, names: Iterable[str]) -> dict[Kind, Units]:
    """The layers of all decoder blocks that own some tensors, by kind and block.

    A layer is a module with tensors of its own; what an adapter has put on a layer belongs to that layer. Tensors
    outside of blocks belong to none.

    Args:
        model: The model.
        names: Names of tensors in it.

    Raises:
        HoldfastError: If a layer is of no kind that is known, or none of them is in a block.
    """
    modules = dict(model.named_modules())
    layers: dict[Kind, dict[str, dict[str, list[str]]]] = {"attention": {}, "feed-forward": {}, "norm": {}}
    for name in names:
        number, inside = block_of(name)
        if number is None:
            continue
        block = name[: len(name) - len(inside)]
        layer = _layer_of(name, modules)
        kind = _kind_of(layer.removeprefix(block), modules[layer], name)
        layers[kind].setdefault(block, {}).setdefault(layer, []).append(name)
    if not any(layers.values()):
        raise HoldfastError(
            f"{type(model).__name__} trains nothing inside decoder blocks, which are known by a number in the names of "
            "their tensors: there are no layers of which half could be chosen"
        )
    return {kind: {block: list(own.values()) for block, own in found.items()} for kind, found in layers.items()}


def _layer_of(name: str, modules: dict[str, nn.Module]) -> str:
    """The name of the module that owns a tensor, or on which an adapter that owns it was put."""
    owner = name.rpartition(".")[0]
    above = owner
    while above:
        if isinstance(modules.get(above), BaseTunerLayer):
            return above
        above = above.rpartition(".")[0]
    return owner


def _kind_of(layer: str, module: nn.Module, name: str) -> Kind:
    base = module.get_base_layer() if isinstance(module, BaseTunerLayer) else module
    if "norm" in type(base).__name__.lower():
        return "norm"
    words = layer.lower()
    if any(word in words for word in ATTENTION):
        return "attention"
    if any(word in words for word in FEED_FORWARD):
        return "feed-forward"
    raise HoldfastError(
        f"'{name}' belongs to a {type(base).__name__}, and its name does not say whether that is attention or "
        f"feed-forward: neither {' nor '.join(ATTENTION)} is in it, nor any of {', '.join(FEED_FORWARD)}. Rename the "
        "modules, or train it with a method that does not tell layers apart, such as random_mask"
    )
