"""What all methods built on a peft tuner share; the tuners themselves are one file each."""

from __future__ import annotations

import copy
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path as Folder
from typing import ClassVar, Self

import torch
from peft import PeftConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.algebra.delta import Delta
from holdfast.algebra.low_rank import LowRank
from holdfast.core.spec import spec_of
from holdfast.weights.adapter import count, load_tensors, trainable_tensors
from holdfast.weights.attachment import Hookless
from holdfast.weights.bare import Bare
from holdfast.weights.merging import update_of
from holdfast.weights.path import OwnLine
from holdfast.weights.quiet import quiet
from holdfast.weights.update import Update


class AdapterMethod(ABC):
    """A method that peft carries out. Subclasses are frozen dataclasses and say which tuner, with which options."""

    name: ClassVar[str]
    learning_rate: ClassVar[float] = 2e-4
    knob: ClassVar[str | None] = "r"
    moves_base: ClassVar[bool] = False
    served_as: ClassVar[str] = "merged"
    may_be_0: ClassVar[tuple[str, ...]] = ("dropout",)

    @abstractmethod
    def config(self, model: PreTrainedModel) -> PeftConfig:
        """The tuner's configuration for this model."""

    def attach(self, model: nn.Module) -> AdapterAttachment:
        """Put a fresh adapter on the model."""
        assert isinstance(model, PreTrainedModel), "models are opened by transformers"
        return AdapterAttachment(model, self.config(model), moves_base=self.moves_base)

    def settings(self, model: nn.Module) -> Iterator[Self]:
        """The method at every value of its knob, from 1 to the width of the narrowest layer."""
        if self.knob is None:
            yield self
            return
        yield from map(self.with_knob, self.knob_values(model))

    def spec(self) -> str:
        """The method with its options, as a recipe would write it."""
        return spec_of(self.name, self)

    def with_knob(self, value: int) -> Self:
        """The method with its knob at a value."""
        assert self.knob is not None, "methods without a knob have nothing to be set"
        return replace(self, **{self.knob: value})  # type: ignore[type-var]

    def parameters(self, model: nn.Module) -> int:
        """How many parameters attaching to such a model would train, counted on a wrapped copy of its shapes."""
        assert isinstance(model, PreTrainedModel), "models are opened by transformers"
        with quiet():
            shapes = copy.deepcopy(model).to("meta")
            return count(get_peft_model(shapes, self.config(shapes)))

    def knob_values(self, model: nn.Module) -> Iterator[int]:
        """Values of the knob that make sense for this model, fewest parameters first."""
        yield from range(1, min(min(linear.weight.shape) for _, linear in linears(model)) + 1)

    def faults(self) -> tuple[str, ...]:
        """Options that no model can take; values that are numbers must be positive, or 0 where that switches it off."""
        faults = []
        for field in fields(self):  # type: ignore[arg-type]
            value, may_be_0 = getattr(self, field.name), field.name in self.may_be_0
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if value < 0 or (value == 0 and not may_be_0):
                faults.append(f"{self.name}: {field.name}={value} must be {'at least' if may_be_0 else 'above'} 0")
        return tuple(faults)


class AdapterAttachment(Hookless):
    """A peft adapter on a model.

    Args:
        model: The base.
        config: The tuner's configuration.
        moves_base: Whether the tuner writes into the base weights; a copy is kept then, for ``detach``.
    """

    def __init__(self, model: PreTrainedModel, config: PeftConfig, *, moves_base: bool = False) -> None:
        self._bare = Bare(model)
        if moves_base:
            self._bare.keep(name for name, _ in model.named_parameters())
        with ExitStack() as on_error, quiet():
            on_error.callback(self._bare.give_back)
            self._model = get_peft_model(model, copy.deepcopy(config))
            on_error.pop_all()
        if not moves_base:
            self._bare.keep(self._bare.trained())
        self._initial = {name: tensor.detach().clone() for name, tensor in self.trainable().items()}

    @property
    def model(self) -> PeftModel:
        return self._model

    def trainable(self) -> Mapping[str, nn.Parameter]:
        return trainable_tensors(self._model)

    def initial(self) -> Mapping[str, Tensor]:
        """The trainable tensors as they were right after attaching: the start of the method's own path."""
        return self._initial

    def update(self) -> Update:
        return update_of(self._model, self._bare.moves())

    def path(self) -> OwnLine:
        final = {name: tensor.detach().clone() for name, tensor in self.trainable().items()}
        return OwnLine(self._initial, final, self._made_by)

    def save(self, folder: Folder) -> None:
        with quiet():
            self._model.save_pretrained(str(folder))

    def detach(self) -> nn.Module:
        base = self._bare.give_back()
        for tensor in base.parameters():
            tensor.grad = None
        return base

    def _made_by(self, tensors: Mapping[str, Tensor]) -> Update:
        """The update that given trainable tensors make; the live ones are put back."""
        live = {name: tensor.detach().clone() for name, tensor in self.trainable().items()}
        load_tensors(self._model, dict(tensors))
        try:
            return self.update()
        finally:
            load_tensors(self._model, live)


class ConvertedAttachment(AdapterAttachment):
    """An adapter whose tuner moved part of the base into itself; it is saved as plain LoRA on the untouched base.

    The stored rank is twice the trained one: the adapter as it is, minus the adapter as it started.
    """

    def __init__(self, model: PreTrainedModel, config: PeftConfig) -> None:
        super().__init__(model, config, moves_base=True)
        self._fresh = Folder(tempfile.mkdtemp(prefix="holdfast-fresh-"))
        self._model.save_pretrained(str(self._fresh))
        self._start = update_of(self._model)

    def update(self) -> Update:
        return Update({name: _against(change, self._start[name]) for name, change in update_of(self._model).items()})

    def save(self, folder: Folder) -> None:
        with tempfile.TemporaryDirectory() as fresh, quiet():
            # peft rewrites the configuration in the folder of the untrained adapter: it works on a copy.
            shutil.copytree(self._fresh, fresh, dirs_exist_ok=True)
            self._model.save_pretrained(str(folder), path_initial_model_for_weight_conversion=fresh)

    def detach(self) -> nn.Module:
        shutil.rmtree(self._fresh, ignore_errors=True)
        return super().detach()


def _against(now: Delta, start: Delta) -> LowRank:
    assert isinstance(now, LowRank) and isinstance(start, LowRank), "converted tuners are plain LoRA"
    return LowRank(torch.cat([now.left, -start.left], dim=1), torch.cat([now.right, start.right], dim=0))


def linears(model: nn.Module) -> list[tuple[str, nn.Linear]]:
    """The linear layers that adapters go on: all but the output head."""
    head = model.get_output_embeddings() if isinstance(model, PreTrainedModel) else None
    return [
        (name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head
    ]
