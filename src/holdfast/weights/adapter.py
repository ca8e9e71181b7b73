"""Adapter folders: which there are, what kind they are, the update that one makes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from holdfast.core.errors import DamagedCheckpoint
from holdfast.weights.borrowed import borrowed
from holdfast.weights.moving import CONFIG
from holdfast.weights.update import Update


def is_adapter(folder: Path) -> bool:
    """Whether a folder is an adapter, rather than a full model."""
    return (folder / CONFIG).is_file()


def form_of(folder: Path) -> str:
    """What kind of adapter a folder holds, in words, such as ``lora adapter``.

    Raises:
        DamagedCheckpoint: If its configuration cannot be read.
    """
    try:
        return f"{json.loads((folder / CONFIG).read_text(encoding='utf-8'))['peft_type'].lower()} adapter"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpoint(f"{folder / CONFIG} is not an adapter configuration: {error}") from error


def read_adapter(folder: Path, model: nn.Module, *, allow_pickle: bool = False) -> Update:
    """The update that an adapter folder makes on a base model; the model is left as it was.

    Args:
        folder: The adapter.
        model: The base it was made from.
        allow_pickle: Open weights stored as a pickle.

    Raises:
        DamagedCheckpoint: If the adapter's files are missing, cut off or do not belong together.
        IncompatibleUpdate: If the adapter was not made for a base of this shape, or for one that is not kept.
        UnsafeFile: If its weights are a pickle and ``allow_pickle`` is not set.
        NotMeasurable: If it does not act by changing weights.
    """
    with borrowed(folder, model, allow_pickle=allow_pickle) as adapter:
        return adapter.update()


def trainable_tensors(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training would move, by name."""
    return {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}


def count(model: nn.Module) -> int:
    """How many scalars training would move; tied tensors once."""
    return sum(tensor.numel() for tensor in trainable_tensors(model).values())


def load_tensors(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors over the parameters of the same names."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in tensors.items():
            parameters[name].copy_(tensor)
