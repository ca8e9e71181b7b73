"""Paths whose every point is an ordinary adapter: the same names, types and size, other values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from holdfast.core.errors import NotMeasurable
from holdfast.weights.borrowed import Borrowed, borrowed
from holdfast.weights.moving import WEIGHTS
from holdfast.weights.path import Bring
from holdfast.weights.paths.folders import copy_beside, new_folder
from holdfast.weights.quiet import quiet
from holdfast.weights.shards import Shards
from holdfast.weights.update import Update

Points = Callable[[float], Mapping[str, Tensor]]
"""From ``t`` to all tensors of an adapter by their stored names; those that do not move are the very same at each."""


def stored_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of an adapter folder, by the names under which peft stores them.

    Raises:
        DamagedCheckpoint: If the file is missing or cut off.
        UnsafeFile: If there is only a pickle.
    """
    stored = Shards(folder, single=WEIGHTS)
    return {name: stored.tensor(name) for name in stored}


class AdapterPath:
    """A path along an adapter's own tensors.

    Args:
        folder: The adapter at 1.
        base: The base it was made from, to measure updates on; it is left as it was.
        label: Name of the path.
        points: The adapter's tensors at ``t``; at 1 those of the folder.
    """

    def __init__(self, folder: Path, base: nn.Module, label: str, points: Points) -> None:
        self._folder, self._base, self._label, self._points = Path(folder), base, label, points

    @property
    def label(self) -> str:
        return self._label

    def tensors(self, t: float) -> dict[str, Tensor]:
        """The adapter's tensors at ``t``, by stored name and in their stored types."""
        return dict(self._points(t))

    def at(self, t: float) -> Update:
        """The update that the adapter at ``t`` makes.

        Raises:
            NotMeasurable: If the tuner does not act by changing weights.
        """
        with self.updates() as at:
            return at(t)

    @contextmanager
    def updates(self) -> Iterator[Callable[[float], Update]]:
        """``at`` for many points: the adapter is put on the base once."""
        with borrowed(self._folder, self._base) as adapter:
            write = _writer(adapter, self.tensors(1.0))

            def at(t: float) -> Update:
                write(self.tensors(t))
                return adapter.update()

            yield at

    @contextmanager
    def walk(self, model: nn.Module) -> Iterator[Bring]:
        """Lead a base along the path: the adapter is put on once, unmerged, and its small tensors are rewritten."""
        with borrowed(self._folder, model) as adapter:
            write = _writer(adapter, self.tensors(1.0))

            def bring(t: float) -> nn.Module:
                write(self.tensors(t))
                attached: nn.Module = adapter.model
                return attached

            yield bring

    def write(self, t: float, folder: Path) -> None:
        """Write the adapter at ``t`` as an ordinary adapter folder of the same size, which peft alone opens.

        Raises:
            FileExistsError: If there is something under that name already.
        """
        with safe_open(self._folder / WEIGHTS, framework="pt") as stored:
            metadata = stored.metadata()
        with new_folder(folder) as unfinished:
            copy_beside(self._folder, unfinished)
            tensors = {name: tensor.contiguous() for name, tensor in self.tensors(t).items()}
            save_file(tensors, unfinished / WEIGHTS, metadata=metadata)


def _writer(adapter: Borrowed, loaded: Mapping[str, Tensor]) -> Callable[[Mapping[str, Tensor]], None]:
    """A function that writes stored tensors into a live adapter; what is there already is not written again."""
    places, there = _places(adapter.model), dict(loaded)

    def write(tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in tensors.items():
                if tensor is there[name]:
                    continue
                if name not in places:
                    raise NotMeasurable(
                        f"'{name}' is run in another form than it is stored in, and cannot be led along a path; "
                        "the dense line can"
                    )
                places[name].copy_(tensor)
                there[name] = tensor

    return write


def _places(attached: PeftModel) -> dict[str, Tensor]:
    """Where the tensors of a live adapter are, by stored name; not those that peft makes anew to store them."""
    state = attached.state_dict()
    with quiet():
        stored = get_peft_model_state_dict(attached, save_embedding_layers=False)
    held = {tensor.data_ptr() for tensor in chain(attached.parameters(), attached.buffers())}
    # AdaLoRA stores copies, whose originals have the stored name with that of the adapter in it.
    named = {".".join(part for part in name.split(".") if part != attached.active_adapter): name for name in state}
    return {name: state[live] for name, live in named.items()} | {
        name: tensor for name, tensor in stored.items() if tensor.data_ptr() in held
    }
