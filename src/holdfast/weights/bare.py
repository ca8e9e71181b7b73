"""A base as it was before anything was put on it: its parts, its flags, and the bits that may be written over.

peft's own ``unload`` gives back a base that has learned: with ``modules_to_save`` it leaves the trained copies in place
of the modules, and biases that an adapter trains are the base's own. So the parts of the base are remembered and put
back, and copies are kept of the weights that are written over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor, nn

from holdfast.algebra.delta import Dense, exact
from holdfast.weights.update import Update

PREFIX: Final = "base_model.model."
"""What peft puts before the names of the base."""

WRAPPERS: Final = frozenset({"base_layer", "original_module", "token_adapter"})
"""What peft puts into the names of layers on which an adapter is."""


class Bare:
    """What a base is without an adapter, to be had back at any time.

    Cost: nothing but what `keep` is told to copy.

    Attributes:
        base: The base.
        kept: Its own weights that were copied, by name, as they were.
    """

    def __init__(self, base: nn.Module) -> None:
        self.base = base
        self.kept: dict[str, Tensor] = {}
        self._weights = dict(base.named_parameters())
        self._named = dict(base.named_parameters(remove_duplicate=False))
        self._flags = {name: weight.requires_grad for name, weight in self._weights.items()}
        self._parts = {module: (dict(module._modules), module.training) for module in base.modules()}
        self._attributes = set(vars(base))

    def keep(self, names: Iterable[str]) -> None:
        """Copy weights of the base that will be written over; names that it does not have are passed over."""
        written = {self._named[name] for name in names if name in self._named}
        self.kept |= {name: weight.detach().clone() for name, weight in self._weights.items() if weight in written}

    def trained(self) -> list[str]:
        """Names of the base's own weights that training would move now."""
        return [name for name, weight in self._weights.items() if weight.requires_grad]

    def matrices(self) -> list[str]:
        """Names of the base's matrices."""
        return [name for name, weight in self._weights.items() if weight.dim() == 2]

    def moves(self) -> Update:
        """How far the kept weights are from what they were, for those that have moved."""
        return Update(
            {
                name: Dense(exact(self._weights[name].detach()) - exact(was))
                for name, was in self.kept.items()
                if not torch.equal(self._weights[name], was)
            }
        )

    def give_back(self) -> nn.Module:
        """Make the base what it was, bit for bit where weights were kept, and return it."""
        for module, (children, training) in self._parts.items():
            module._modules.clear()
            module._modules.update(children)
            module.training = training
        for name, flag in self._flags.items():
            self._weights[name].requires_grad_(flag)
        for name in set(vars(self.base)) - self._attributes:
            delattr(self.base, name)
        with torch.no_grad():
            for name, tensor in self.kept.items():
                self._weights[name].copy_(tensor)
        return self.base


@contextmanager
def given_back(base: nn.Module, written: Iterable[str] = ()) -> Iterator[Bare]:
    """Whatever is put into a base inside the block is out of it afterwards.

    Args:
        base: The base.
        written: Names of weights that will be written over; they are kept.
    """
    bare = Bare(base)
    bare.keep(written)
    try:
        yield bare
    finally:
        bare.give_back()


def tied(base: nn.Module) -> list[list[str]]:
    """Names of weights that are one and the same, such as an embedding and the head that shares it.

    Names are those of the bare base, also while an adapter is on it.
    """
    groups: dict[nn.Parameter, dict[str, None]] = {}
    for name, weight in base.named_parameters(remove_duplicate=False):
        groups.setdefault(weight, {})[base_name(name)] = None
    return [list(names) for names in groups.values() if len(names) > 1]


def base_name(name: str) -> str:
    """The name that a bare base gives to a tensor of its own, from that in an adapter's file or under an adapter."""
    return ".".join(part for part in name.removeprefix(PREFIX).split(".") if part not in WRAPPERS)
