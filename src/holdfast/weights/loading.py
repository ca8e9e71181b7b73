"""A checkpoint from a folder, put on its base in memory for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from holdfast.core.errors import IncompatibleUpdate
from holdfast.weights.adapter import is_adapter
from holdfast.weights.bare import given_back
from holdfast.weights.borrowed import borrowed
from holdfast.weights.shards import Shards


@contextmanager
def checkpoint_on(folder: Path, base: nn.Module, *, allow_pickle: bool = False) -> Iterator[nn.Module]:
    """The model that a folder holds, made of the base in memory; on leaving, the base is bit for bit what it was.

    An adapter is run unmerged, as its users run it; the weights of a full model are written over the base's, which
    takes one more copy of them.

    Args:
        folder: An adapter folder or a model folder.
        base: The base it was made from.
        allow_pickle: Open weights stored as pickles.

    Yields:
        The model, in evaluation mode.

    Raises:
        IncompatibleUpdate: If the folder was made from another architecture, or from a base that is not kept.
        DamagedCheckpoint: If files are missing, cut off or do not belong together.
        UnsafeFile: If the weights are pickles and ``allow_pickle`` is not set.
    """
    if is_adapter(folder):
        with borrowed(folder, base, allow_pickle=allow_pickle) as adapter:
            yield adapter.model
        return
    stored = Shards(folder, allow_pickle=allow_pickle)
    weights = dict(base.named_parameters())
    odd = [name for name in stored if name not in weights or stored.shape(name) != tuple(weights[name].shape)]
    if odd:
        raise IncompatibleUpdate(f"{folder} does not fit this base model: '{odd[0]}' is missing or shaped differently")
    lost = [name for name in weights if name not in stored]
    if lost:
        raise IncompatibleUpdate(f"{folder} does not fit this base model: it holds no '{lost[0]}' ({len(lost)} in all)")
    with given_back(base, stored):
        with torch.no_grad():
            for name in stored:
                weights[name].copy_(stored.tensor(name))
        yield base.eval()
