"""A base with an adapter on it for a while, given back as it was: its parts, its bits, its flags.

peft's own ``unload`` gives back a base that has learned: with ``modules_to_save`` it leaves the trained copies in place
of the modules, and biases that an adapter trains are the base's own. So the parts of the base are remembered and put
back, and the tensors that an adapter's file writes over are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor, nn

from holdfast.algebra.delta import Dense, exact
from holdfast.core.errors import IncompatibleUpdate
from holdfast.weights.adapter import WEIGHTS, load_adapter, update_of
from holdfast.weights.moving import unmoved
from holdfast.weights.shards import Shards
from holdfast.weights.update import Update

PREFIX = "base_model.model."
"""What peft puts before the names of the base."""


@dataclass(frozen=True)
class Borrowed:
    """An adapter on a base.

    Attributes:
        model: The two together, ready to run.
        weights: The base's own weights, which the adapter may have moved.
        before: Those of them that it may have moved, as they were.
        tied: Names of the base that are one weight.
    """

    model: PeftModel
    weights: Mapping[str, nn.Parameter]
    before: Mapping[str, Tensor]
    tied: Sequence[Sequence[str]]

    def update(self) -> Update:
        """What the adapter does to the base as it was, as it stands now: also what it wrote over the base itself.

        Raises:
            NotMeasurable: If the tuner does not act by changing weights.
        """
        written = {
            name: Dense(exact(self.weights[name].detach()) - exact(was))
            for name, was in self.before.items()
            if not torch.equal(self.weights[name], was)
        }
        return self._once(update_of(self.model).plus(Update(written)))

    def _once(self, update: Update) -> Update:
        """Weights that are one and were moved as one, under their first name alone."""
        again = {
            name
            for first, *others in self.tied
            for name in others
            if first in update and name in update and torch.equal(update[first].dense(), update[name].dense())
        }
        return update.only(lambda name: name not in again)


@contextmanager
def borrowed(folder: Path, base: nn.Module) -> Iterator[Borrowed]:
    """A base with the adapter of a folder on it, unmerged; on leaving, the base is bit for bit what it was.

    Cost: the adapter, and a copy of the base's tensors that its file holds or that loading it moves.

    Raises:
        DamagedCheckpoint: If the adapter's files are missing, cut off or do not belong together.
        IncompatibleUpdate: If the adapter was not made for a base of this shape, or there is one on it already.
    """
    if hasattr(base, "peft_config"):
        raise IncompatibleUpdate(
            f"the base has an adapter on it already, and that in {folder} would go on top; leave the walk, or take the "
            "other off first"
        )
    weights = dict(base.named_parameters())
    stored = (base_name(name) for name in Shards(folder, single=WEIGHTS))
    one = tied(base)
    with unmoved(folder, base) as moved, given_back(base, (name for name in stored if name in weights)) as kept:
        attached = load_adapter(folder, base)
        yield Borrowed(attached.eval(), weights, {**kept, **moved}, one)


@contextmanager
def given_back(base: nn.Module, written: Iterable[str] = ()) -> Iterator[dict[str, Tensor]]:
    """Whatever peft puts into a base inside the block is out of it afterwards.

    Args:
        base: The base.
        written: Names of weights that will be written over; they are kept, and given to the block as they were.
    """
    weights = dict(base.named_parameters())
    kept = {name: weights[name].detach().clone() for name in written}
    parts = {module: (dict(module._modules), module.training) for module in base.modules()}
    flags = {tensor: tensor.requires_grad for tensor in weights.values()}
    known = set(vars(base))
    try:
        yield kept
    finally:
        for module, (children, training) in parts.items():
            module._modules.clear()
            module._modules.update(children)
            module.training = training
        for weight, flag in flags.items():
            weight.requires_grad_(flag)
        for name in set(vars(base)) - known:
            delattr(base, name)
        with torch.no_grad():
            for name, tensor in kept.items():
                weights[name].copy_(tensor)


def tied(base: nn.Module) -> list[list[str]]:
    """Names of weights that are one and the same, such as an embedding and the head that shares it."""
    groups: dict[nn.Parameter, list[str]] = {}
    for name, weight in base.named_parameters(remove_duplicate=False):
        groups.setdefault(weight, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def base_name(stored: str) -> str:
    """The name that a base gives to a tensor of its own which an adapter's file holds."""
    return stored.removeprefix(PREFIX).replace(".base_layer.", ".")
