"""Models to be measured, as points over one base in memory: the base itself, a checkpoint, a point of a path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path as Folder
from typing import Protocol

from transformers import PreTrainedModel

from holdfast.weights.loading import checkpoint_on
from holdfast.weights.path import Path


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
    """An adapter folder, run unmerged as its users run it, or a full model folder.

    Attributes:
        folder: Where it lies.
        allow_pickle: Whether weights that are stored as pickles are opened.
    """

    folder: Folder
    allow_pickle: bool = False

    @contextmanager
    def on(self, base: PreTrainedModel) -> Iterator[PreTrainedModel]:
        with checkpoint_on(self.folder, base, allow_pickle=self.allow_pickle) as model:
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
