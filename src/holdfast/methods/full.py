"""Full fine-tuning: every parameter moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as Folder
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.algebra.delta import Dense, exact
from holdfast.weights.attachment import Hookless
from holdfast.weights.path import DenseLine
from holdfast.weights.quiet import quiet
from holdfast.weights.update import Update

HALF = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Full:
    """Train all parameters, embeddings and norms included. It has no knob: its count is the model's."""

    name: ClassVar[str] = "full"
    learning_rate: ClassVar[float] = 2e-5
    knob: ClassVar[str | None] = None
    moves_base: ClassVar[bool] = True
    served_as: ClassVar[str] = "merged"

    def attach(self, model: nn.Module) -> FullAttachment:
        """Let every parameter of the model move."""
        return FullAttachment(model)

    def settings(self, model: nn.Module) -> Iterator[Full]:
        """The method itself: there is nothing to set."""
        yield self

    def spec(self) -> str:
        """Its name: there are no options."""
        return self.name

    def with_knob(self, value: int) -> Full:
        """The method itself: there is nothing to set."""
        return self

    def parameters(self, model: nn.Module) -> int:
        """All of them."""
        return sum(tensor.numel() for tensor in model.parameters())

    def faults(self) -> tuple[str, ...]:
        """None: there are no options."""
        return ()


class FullAttachment(Hookless):
    """All parameters of a model, free to move. Memory: one more copy of the model, kept for ``detach``.

    A base in half precision is trained in float32, since most steps of its weights would be rounded away, and is saved
    in the precision it came in.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._dtypes = {name: tensor.dtype for name, tensor in model.named_parameters()}
        self._flags = {name: tensor.requires_grad for name, tensor in model.named_parameters()}
        self._base = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
        if any(dtype in HALF for dtype in self._dtypes.values()):
            model.float()
        model.requires_grad_(True)

    @property
    def model(self) -> nn.Module:
        return self._model

    def trainable(self) -> Mapping[str, nn.Parameter]:
        return dict(self._model.named_parameters())

    def initial(self) -> Mapping[str, Tensor]:
        """The parameters as they were before training."""
        return self._base

    def update(self) -> Update:
        return Update(
            {
                name: Dense(exact(tensor.detach()) - exact(self._base[name]))
                for name, tensor in self._model.named_parameters()
                if not torch.equal(tensor, self._base[name].to(tensor.dtype))
            }
        )

    def path(self) -> DenseLine:
        """The dense line, which for full fine-tuning is the method's own."""
        return DenseLine(self.update())

    def save(self, folder: Folder) -> None:
        assert isinstance(self._model, PreTrainedModel), "models are opened by transformers"
        # Tied tensors are listed once, as they were before the precision was changed.
        buffers = {name: tensor for name, tensor in self._model.state_dict().items() if name not in self._tied()}
        stored = {name: tensor.detach().to(self._dtypes[name]) for name, tensor in self._model.named_parameters()}
        dtype = self._model.config.dtype
        with quiet():
            self._model.save_pretrained(folder, state_dict={**buffers, **stored})
        # transformers notes the precision of training, in the folder and in the model.
        self._model.config.dtype = dtype
        self._model.config.save_pretrained(folder)

    def _tied(self) -> set[str]:
        """Names of all parameters, those that are tied to another one included."""
        return {name for name, _ in self._model.named_parameters(remove_duplicate=False)}

    def detach(self) -> nn.Module:
        with torch.no_grad():
            for name, tensor in self._model.named_parameters():
                tensor.data = tensor.data.to(self._dtypes[name])
                tensor.copy_(self._base[name])
                tensor.requires_grad_(self._flags[name])
                tensor.grad = None
        return self._model
