"""A trained shift on the output of every normalisation layer's scale: a method in one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.algebra.delta import Dense
from holdfast.weights.attachment import Hookless
from holdfast.weights.path import DenseLine
from holdfast.weights.update import Update


@dataclass(frozen=True)
class Shift:
    """Train the scales of the normalisation layers in place.

    Attributes:
        every: Only every so many of these layers.
    """

    name: ClassVar[str] = "shift"
    learning_rate: ClassVar[float] = 3e-3
    knob: ClassVar[str | None] = None
    moves_base: ClassVar[bool] = True
    served_as: ClassVar[str] = "merged"

    every: int = 1

    def attach(self, model: nn.Module) -> ShiftAttachment:
        """Let the scales move."""
        return ShiftAttachment(model, self._names(model))

    def settings(self, model: nn.Module) -> Iterator[Shift]:
        """The method itself: it has no knob."""
        yield self

    def with_knob(self, value: int) -> Shift:
        """The method itself: it has no knob."""
        return self

    def spec(self) -> str:
        """The method as a recipe would write it."""
        return self.name if self.every == 1 else f"shift(every={self.every})"

    def parameters(self, model: nn.Module) -> int:
        """The number of scales."""
        tensors = dict(model.named_parameters())
        return sum(tensors[name].numel() for name in self._names(model))

    def faults(self) -> tuple[str, ...]:
        """A step below 1 selects nothing."""
        return () if self.every >= 1 else (f"shift: every={self.every} must be 1 or more",)

    def _names(self, model: nn.Module) -> tuple[str, ...]:
        names = [name for name, tensor in model.named_parameters() if tensor.ndim == 1]
        return tuple(names[:: self.every])


class ShiftAttachment(Hookless):
    """Scales of a model, free to move."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        self._model, self._names = model, names
        self._flags = {name: tensor.requires_grad for name, tensor in model.named_parameters()}
        model.requires_grad_(False)
        self._initial = {name: tensor.detach().clone() for name, tensor in self.trainable().items()}
        for tensor in self.trainable().values():
            tensor.requires_grad_(True)

    @property
    def model(self) -> nn.Module:
        """The model itself: it is tuned in place."""
        return self._model

    def trainable(self) -> Mapping[str, nn.Parameter]:
        """The scales."""
        tensors = dict(self._model.named_parameters())
        return {name: tensors[name] for name in self._names}

    def initial(self) -> Mapping[str, Tensor]:
        """The scales before training."""
        return self._initial

    def update(self) -> Update:
        """How far the scales have moved."""
        return Update({name: Dense(t.detach() - self._initial[name]) for name, t in self.trainable().items()})

    def path(self) -> DenseLine:
        """The straight line."""
        return DenseLine(self.update())

    def save(self, folder: Path) -> None:
        """Write a model folder."""
        assert isinstance(self._model, PreTrainedModel), "models are opened by transformers"
        self._model.save_pretrained(folder)

    def detach(self) -> nn.Module:
        """Put the scales back."""
        with torch.no_grad():
            for name, tensor in self._model.named_parameters():
                if name in self._initial:
                    tensor.copy_(self._initial[name])
                tensor.requires_grad_(self._flags[name])
        return self._model
