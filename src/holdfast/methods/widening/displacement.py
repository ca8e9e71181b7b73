"""Weights that stand elsewhere while a gradient is taken, and are afterwards bit for bit what they were."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from holdfast.core.errors import HoldfastError
from holdfast.weights.perturbing.movable import movable
from holdfast.weights.perturbing.sweep import Sweep
from holdfast.weights.update import Update


class Displacement(ABC):
    """Other weights for the passes of a micro-batch, and the way back.

    What is displaced is summed in float32 and rounded once to its own precision, and is copied back: nothing drifts.
    Between passes the weights are clean, whatever is done with them then; a pass that begins while they are not, since
    another was cut off, gives them back first and never takes them for clean.

    Cost: one copy of the tensors that are displaced, from the first pass on.

    Args:
        model: What of it has ``requires_grad`` when the first pass begins is displaced.
        who: The method, for messages.
    """

    def __init__(self, model: nn.Module, who: str) -> None:
        self._model, self._who = model, who
        self._copies = _Copies()
        self._displaced: tuple[str, ...] = ()

    @property
    @abstractmethod
    def passes(self) -> int:
        """How often a micro-batch goes forward and backward."""

    @abstractmethod
    def before_pass(self, step: int, micro_batch: int, turn: int) -> None:
        """Displace the weights for a pass."""

    def after_pass(self) -> None:
        """Give the weights back as they were; nothing happens where they are."""
        if not self._displaced:
            return
        try:
            self._copy_back()
        except KeyboardInterrupt:
            self._copy_back()
            raise
        finally:
            self._displaced = ()

    def takes(self, tensor: Tensor) -> bool:
        """Whether a tensor that is trained is displaced."""
        return True

    @cached_property
    def tensors(self) -> Mapping[str, nn.Parameter]:
        """What is displaced, by name.

        Raises:
            HoldfastError: If that is nothing, or holds no numbers in this process.
            NotMeasurable: If it is quantised or held in parts.
        """
        trained = {name: tensor for name, tensor in self._model.named_parameters() if tensor.requires_grad}
        chosen = {name for name, tensor in trained.items() if self.takes(tensor)}
        if not chosen:
            raise HoldfastError(
                f"{self._who} displaces what is trained, and finds none of {len(trained)} trained tensors to displace"
            )
        found = movable(self._model, chosen.__contains__)
        empty = [name for name, tensor in found.items() if not tensor.numel()]
        if empty:
            raise HoldfastError(
                f"{self._who} displaces what is trained, and '{empty[0]}' has no numbers here: are weights partitioned "
                "among processes, as by ZeRO's stage 3? Use stage 2, or one process"
            )
        return found

    def _displace(self, direction: Update, distance: float) -> None:
        """Bring the weights that a direction is of to ``clean + distance * direction``."""
        self.after_pass()
        weights = {name: self.tensors[name] for name in direction}
        self._copies.keep(weights)
        self._displaced = tuple(weights)  # from here on there is something to be given back
        Sweep(self._model, direction, weights, self._copies).to(distance)
        torch.clear_autocast_cache()

    def _copy_back(self) -> None:
        for name in self._displaced:
            self.tensors[name].detach().copy_(self._copies.tensor(name))
        # Autocast keeps what it has rounded for as long as its block lasts, and does not see that weights change.
        torch.clear_autocast_cache()


class _Copies:
    """What weights were, in buffers that are used again and again."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def keep(self, weights: Mapping[str, Tensor]) -> None:
        """Copy weights as they are."""
        for name, weight in weights.items():
            if name not in self._buffers:
                self._buffers[name] = torch.empty_like(weight, requires_grad=False)
            self._buffers[name].copy_(weight.detach())

    def __contains__(self, name: object) -> bool:
        return name in self._buffers

    def tensor(self, name: str) -> Tensor:
        """A weight as it was."""
        return self._buffers[name]
