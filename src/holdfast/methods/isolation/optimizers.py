"""Optimizers whose updates can be undone, and what they are told by a scaler."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn

from holdfast.core.errors import HoldfastError


def guardable(optimizer: object, tensors: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    """The torch optimizer itself, out of accelerate's wrapper, if what it does to these tensors can be undone.

    Raises:
        HoldfastError: If it is none of torch's, or does not move these tensors.
    """
    found = optimizer.optimizer if isinstance(optimizer, AcceleratedOptimizer) else optimizer
    if found is None:
        raise HoldfastError("isolation needs an optimizer that has been built: attach it after optimizer = AdamW(...)")
    kind = f"{type(found).__module__}.{type(found).__name__}"
    if not isinstance(found, torch.optim.Optimizer) or "ZeroRedundancy" in kind:
        raise HoldfastError(
            f"the updates of {kind} cannot be guarded: it keeps copies of the weights of its own, and what is held "
            "would come back from there. Use an optimizer of torch.optim, with FSDP2 where weights must be sharded"
        )
    moved = {id(tensor) for group in found.param_groups for tensor in group["params"]}
    apart = [name for name, tensor in tensors.items() if id(tensor) not in moved]
    if apart:
        raise HoldfastError(
            f"the optimizer does not move {len(apart)} of {len(tensors)} tensors that could be held, such as "
            f"'{apart[0]}': was it built for another model, or before the tensors were wrapped or replaced?"
        )
    return found


def overflowed(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a scaler of mixed precision has told a fused optimizer that its gradients are not finite.

    It will then move nothing, though its step is called. Others are not called at all.
    """
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)
