"""The update between two full checkpoints, read tensor by tensor: two models are never in memory."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from holdfast.algebra.delta import Delta, exact
from holdfast.core.errors import IncompatibleUpdate
from holdfast.weights.shards import Shards
from holdfast.weights.update import Update


class StoredDifference(Delta):
    """A change that stays on disk as two tensors until it is asked for."""

    def __init__(self, name: str, base: Shards, tuned: Shards, device: torch.device | str = "cpu") -> None:
        self._name, self._base, self._tuned, self._device = name, base, tuned, device

    @property
    def shape(self) -> tuple[int, ...]:
        return self._base.shape(self._name)

    def dense(self) -> Tensor:
        tuned = exact(self._tuned.tensor(self._name).to(self._device))
        return tuned - exact(self._base.tensor(self._name).to(self._device))

    def to(self, device: torch.device | str) -> Delta:
        return StoredDifference(self._name, self._base, self._tuned, device)


def read_full(base: Path, tuned: Path, *, allow_pickle: bool = False) -> Update:
    """The update from one full checkpoint to another, both ordinary Hugging Face folders.

    Only headers are read here; each change is read when it is used.

    Args:
        base: Folder of the base.
        tuned: Folder of what was made from it.
        allow_pickle: Open weights stored as pickles.

    Raises:
        IncompatibleUpdate: If the two do not hold the same tensors in the same shapes.
        DamagedCheckpoint: If a file is missing or cut off.
        UnsafeFile: If weights are pickles and ``allow_pickle`` is not set.
    """
    before, after = (Shards(folder, allow_pickle=allow_pickle) for folder in (base, tuned))
    odd = sorted(set(before) ^ set(after))
    if odd:
        side = base if odd[0] in before else tuned
        raise IncompatibleUpdate(f"'{odd[0]}' is only in {side} ({len(odd)} such tensors): not the same architecture")
    for name in before:
        if before.shape(name) != after.shape(name):
            raise IncompatibleUpdate(
                f"'{name}' has shape {before.shape(name)} in {base} and {after.shape(name)} in {tuned}"
            )
    return Update({name: StoredDifference(name, before, after) for name in before})
