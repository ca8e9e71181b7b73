"""A name for the weights that a plan was made for, whatever the precision in which they are held."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def weights_identity(model: nn.Module) -> str:
    """32 hexadecimal digits over names, shapes and values of all parameters and stored buffers.

    Half precision is read as float32, which is exact: a model opened in bfloat16 and the same one brought to float32
    for training have one name. Of a model in float32 it is what `holdfast.models.identity` calls it.
    """
    return _digest((name, _widened(tensor)) for name, tensor in sorted(model.state_dict().items()))


def value_mark(tensor: Tensor) -> str:
    """The same of one tensor: alike exactly where shape and values are."""
    return _digest([("", _widened(tensor))])


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    hashed = hashlib.blake2b(digest_size=16)
    for name, tensor in tensors:
        hashed.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hashed.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return hashed.hexdigest()
