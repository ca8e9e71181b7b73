"""What a checkpoint makes of a model, written into the model's weights for good."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from holdfast.weights.adapter import is_adapter, read_adapter
from holdfast.weights.paths.dense import FolderLine
from holdfast.weights.shards import Shards
from holdfast.weights.update import Update


def learned_in(folder: Path, model: nn.Module) -> Update:
    """What a checkpoint does to the model that it was trained from.

    Args:
        folder: An adapter or a model folder.
        model: The weights it was trained from; they are to stay as they are while the update of a full model is used.

    Raises:
        NotMeasurable: If an adapter does not act by changing weights.
        IncompatibleUpdate: If the checkpoint was made from another architecture.
    """
    return read_adapter(folder, model) if is_adapter(folder) else FolderLine(folder, model).at(1)


def fold(folder: Path, model: nn.Module) -> None:
    """Make a model what a checkpoint makes of it; another training can go on from there.

    An adapter is added in float32 and rounded once to the model's precision; a full model is copied bit for bit.

    Args:
        folder: An adapter or a model folder.
        model: The weights it was trained from; they are changed.

    Raises:
        NotMeasurable: If an adapter does not act by changing weights.
        IncompatibleUpdate: If the checkpoint was made from another architecture.
    """
    update = learned_in(folder, model)
    if is_adapter(folder):
        update.write_into(model)
        return
    weights, stored = dict(model.named_parameters()), Shards(folder)
    with torch.no_grad():
        for name in stored:
            weights[name].copy_(stored.tensor(name))
