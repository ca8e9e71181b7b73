"""Models to be measured, as points over one base in memory: the base itself, a checkpoint, a point of a path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path as Folder
from typing import Protocol

import torch
from transformers import PreTrainedModel

from holdfast.core.errors import IncompatibleUpdate
from holdfast.weights.adapter import is_adapter, load_adapter, unloaded
from holdfast.weights.path import Path
from holdfast.weights.shards import Shards


class Point(Protocol):
    """A model that differs from the base by what it does to it for the length of a ``with`` block."""

    def on(self, base: PreTrainedModel) -> AbstractContextManager[PreTrainedModel]:
        """The model at this point. On leaving, the base is bit for bit what it was."""
        ...


@dataclass(frozen=True)
class Untouched:
    """The base itself."""

    @contextmanager
    def on(self, base: PreTrainedModel) -> Iterator[PreTrainedModel]:
        yield base


@dataclass(frozen=True)
class Checkpoint:
    """An adapter folder, run unmerged as its users run it, or a full model folder."""

    folder: Folder

    @contextmanager
    def on(self, base: PreTrainedModel) -> Iterator[PreTrainedModel]:
        way = _adapter(self.folder, base) if is_adapter(self.folder) else _full(self.folder, base)
        with way as model:
            yield model


@dataclass(frozen=True)
class Along:
    """The point at ``t`` of a path."""

    path: Path
    t: float

    @contextmanager
    def on(self, base: PreTrainedModel) -> Iterator[PreTrainedModel]:
        with self.path.at(self.t).added_to(base):
            yield base


@contextmanager
def _adapter(folder: Folder, base: PreTrainedModel) -> Iterator[PreTrainedModel]:
    flags = {name: tensor.requires_grad for name, tensor in base.named_parameters()}
    attached = load_adapter(folder, base)
    try:
        yield attached.eval()
    finally:
        unloaded(attached)
        for name, tensor in base.named_parameters():
            tensor.requires_grad_(flags[name])


@contextmanager
def _full(folder: Folder, base: PreTrainedModel) -> Iterator[PreTrainedModel]:
    stored = Shards(folder)
    parameters = dict(base.named_parameters())
    odd = [name for name in stored if name not in parameters or stored.shape(name) != tuple(parameters[name].shape)]
    if odd:
        raise IncompatibleUpdate(f"{folder} does not fit this base model: '{odd[0]}' is missing or shaped differently")
    kept = {name: parameters[name].detach().clone() for name in stored}
    try:
        with torch.no_grad():
            for name in stored:
                parameters[name].copy_(stored.tensor(name))
        yield base
    finally:
        with torch.no_grad():
            for name, tensor in kept.items():
                parameters[name].copy_(tensor)
