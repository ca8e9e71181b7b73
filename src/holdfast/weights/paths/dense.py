"""The straight line between two full models on disk, and full models written tensor by tensor."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from holdfast.algebra.delta import Delta, exact
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.weights.loading import checkpoint_on
from holdfast.weights.path import Bring, between, one_at_a_time
from holdfast.weights.paths.folders import copy_beside, new_folder
from holdfast.weights.shards import INDEX, SINGLE, Shards
from holdfast.weights.update import Update


class Tensors(Protocol):
    """Tensors by name, wherever they are."""

    def __iter__(self) -> Iterator[str]: ...

    def __contains__(self, name: object) -> bool: ...

    def tensor(self, name: str) -> Tensor:
        """One tensor."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Its shape."""
        ...


class InMemory:
    """The weights of a model that is in memory, by name."""

    def __init__(self, model: nn.Module) -> None:
        self._weights = dict(model.named_parameters())

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __contains__(self, name: object) -> bool:
        return name in self._weights

    def tensor(self, name: str) -> Tensor:
        """A weight as it is now."""
        return self._weights[name].detach()

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a weight."""
        return tuple(self._weights[name].shape)


class Gap(Delta):
    """The change from one place to another of a tensor that is read when it is asked for."""

    def __init__(self, name: str, before: Tensors, after: Tensors, device: torch.device | str | None = None) -> None:
        self._name, self._before, self._after, self._device = name, before, after, device

    @property
    def shape(self) -> tuple[int, ...]:
        return self._before.shape(self._name)

    def dense(self) -> Tensor:
        before = exact(self._before.tensor(self._name))
        return exact(self._after.tensor(self._name)).to(self._device or before.device) - before.to(
            self._device or before.device
        )

    def to(self, device: torch.device | str) -> Delta:
        return Gap(self._name, self._before, self._after, device)


class FolderLine:
    """The straight line in the weights from a base to a full model folder that was tuned from it.

    No more than one tensor of either is read at a time.

    Args:
        tuned: The model at 1.
        base: The model at 0: a folder, or the model in memory, which is to stay as it is while the line is used.

    Raises:
        IncompatibleUpdate: If the two do not hold the same tensors in the same shapes.
    """

    label = "dense"

    def __init__(self, tuned: Path, base: Path | nn.Module) -> None:
        self._folder, self._after = Path(tuned), Shards(tuned)
        self._before: Tensors = InMemory(base) if isinstance(base, nn.Module) else Shards(base)
        odd = sorted(set(self._before) ^ set(self._after))
        if odd:
            side = "the base" if odd[0] in self._before else str(tuned)
            raise IncompatibleUpdate(
                f"'{odd[0]}' is only in {side} ({len(odd)} such tensors): {tuned} was not tuned from this base"
            )
        for name in self._after:
            if self._before.shape(name) != self._after.shape(name):
                raise IncompatibleUpdate(
                    f"'{name}' has shape {self._before.shape(name)} in the base and {self._after.shape(name)} in "
                    f"{tuned}, which was not tuned from this base"
                )

    def at(self, t: float) -> Update:
        """The update at ``t``; each change is read when it is used."""
        return Update({name: Gap(name, self._before, self._after) for name in self._after}).scaled(t)

    def walk(self, model: nn.Module) -> AbstractContextManager[Bring]:
        """Lead a base along the line; at 1 it has the bits of the folder, in its own type."""

        def point(t: float) -> AbstractContextManager[nn.Module]:
            if t == 0:
                return nullcontext(model)
            return checkpoint_on(self._folder, model) if t == 1 else self.at(t).added_to(model)

        return one_at_a_time(point)

    def tensor(self, name: str, t: float) -> Tensor:
        """One tensor at ``t``, in the type of the tuned folder; what was not trained is copied bit for bit.

        Raises:
            NotMeasurable: If a tensor of whole numbers was changed.
        """
        before, after = self._before.tensor(name).cpu(), self._after.tensor(name)
        if torch.equal(before.to(after.dtype), after):
            return after
        if not after.is_floating_point() and 0 < t < 1:
            raise NotMeasurable(f"'{name}' holds whole numbers ({after.dtype}), which have no values in between")
        return between(before, after, t)

    def write(self, t: float, folder: Path) -> None:
        """Write the model at ``t`` as an ordinary model folder, in the files and types of the tuned one.

        Raises:
            FileExistsError: If there is something under that name already.
        """
        rewrite(self._folder, folder, lambda name: self.tensor(name, t))


def write_sum(base: Path, update: Update, folder: Path) -> None:
    """Write a base with an update in its weights as an ordinary model folder, in the files and types of the base.

    Raises:
        IncompatibleUpdate: If a weight that changes is not in the base's files.
        FileExistsError: If there is something under that name already.
    """
    stored = Shards(base)
    missing = [name for name in update if name not in stored]
    if missing:
        raise IncompatibleUpdate(f"'{missing[0]}' changes ({len(missing)} in all) and is not in the files of {base}")

    def summed(name: str) -> Tensor:
        weight = stored.tensor(name)
        return (exact(weight) + update[name].to("cpu").dense()).to(weight.dtype) if name in update else weight

    rewrite(base, folder, summed)


def rewrite(source: Path, folder: Path, tensor: Callable[[str], Tensor]) -> None:
    """Write a model folder anew with other tensors: the same files, names and metadata. Memory: one file of weights."""
    with new_folder(folder) as unfinished:
        copy_beside(source, unfinished)
        for file in _files(source):
            with safe_open(source / file, framework="pt") as stored:
                names, metadata = list(stored.keys()), stored.metadata()
            save_file({name: tensor(name).contiguous() for name in names}, unfinished / file, metadata=metadata)


def _files(source: Path) -> list[str]:
    index = source / INDEX
    if not index.is_file():
        return [SINGLE]
    return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
