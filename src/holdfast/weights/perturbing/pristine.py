"""What weights were, to be rebuilt from at any time: a copy, or the checkpoint on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from holdfast.core.errors import IncompatibleUpdate


class Stored(Protocol):
    """Tensors by name that are read when they are asked for, such as `holdfast.weights.shards.Shards`."""

    def __contains__(self, name: object) -> bool: ...

    def tensor(self, name: str) -> Tensor:
        """One tensor."""
        ...


class Copied:
    """Copies of weights in memory. Cost: their own size."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._copies = {name: weight.detach().clone() for name, weight in weights.items()}

    def __contains__(self, name: object) -> bool:
        return name in self._copies

    def tensor(self, name: str) -> Tensor:
        """A weight as it was."""
        return self._copies[name]


def check_stored(stored: Stored, weights: Mapping[str, Tensor]) -> None:
    """Refuse a checkpoint that is not what is in memory; it may be of a higher precision.

    Raises:
        IncompatibleUpdate: If a weight is missing from the checkpoint, or differs from it after rounding.
    """
    for name, weight in weights.items():
        if name not in stored:
            raise IncompatibleUpdate(
                f"'{name}' is to be moved and is not in the checkpoint, from which it could not be rebuilt; give the "
                "folder of this very model, or none"
            )
        found = stored.tensor(name)
        if found.shape != weight.shape or not same_bits(found.to(weight), weight.detach()):
            raise IncompatibleUpdate(
                f"'{name}' is not in memory what it is in the checkpoint, from which it could not be rebuilt; give the "
                "folder of this very model, or none"
            )


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one type and shape have the same bits: NaN is NaN, and 0 is not -0."""
    return torch.equal(_bytes(one), _bytes(other))


def fingerprint(model: nn.Module) -> dict[str, str]:
    """A hash of every weight and stored buffer of a model, by name; tied ones once.

    Buffers that are not stored are left out: models rewrite some while they read. Cost: one pass over the weights.
    """
    stored = model.state_dict().keys()
    buffers = ((name, buffer) for name, buffer in model.named_buffers() if name in stored)
    return {name: _hash(tensor) for name, tensor in (*model.named_parameters(), *buffers)}


def unlike(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The names whose hashes differ, or that only one side has."""
    names: Iterable[str] = dict.fromkeys((*before, *after))
    return [name for name in names if before.get(name) != after.get(name)]


def _hash(tensor: Tensor) -> str:
    hashed = hashlib.blake2b(f"{tensor.dtype} {tuple(tensor.shape)}".encode(), digest_size=16)
    hashed.update(_bytes(tensor).cpu().numpy().data)
    return hashed.hexdigest()


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
