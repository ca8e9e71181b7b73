"""LoRA whose ``A`` stays what it is while ``B`` is trained: what such methods share."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from peft import LoraConfig, PeftConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel

from holdfast.methods.adapter import AdapterAttachment
from holdfast.methods.ranked import RankedMethod
from holdfast.weights.quiet import quiet

ADAPTER: Final = "default"
"""peft's name of the one adapter."""


@dataclass(frozen=True)
class FrozenA(RankedMethod):
    """A LoRA of which only ``B`` is trained."""

    learning_rate: ClassVar[float] = 5e-4
    served_as: ClassVar[str] = "lora"

    def config(self, model: PreTrainedModel) -> PeftConfig:
        return LoraConfig(**self.options(self.r))

    def parameters(self, model: nn.Module) -> int:
        """How many scalars the trained factors have, counted on a wrapped copy of the model's shapes."""
        assert isinstance(model, PreTrainedModel), "models are opened by transformers"
        with quiet():
            shapes = copy.deepcopy(model).to("meta")
            adapted = get_peft_model(shapes, self.config(shapes))
        return sum(layer.lora_B[ADAPTER].weight.numel() for _, layer in _layers(adapted))


class FrozenAAttachment(AdapterAttachment):
    """A LoRA adapter on a model; no optimizer finds its ``A``."""

    def __init__(self, model: PreTrainedModel, config: PeftConfig) -> None:
        super().__init__(model, config)
        self._layers = dict(_layers(self.model))
        for layer in self._layers.values():
            _fix(layer.lora_A[ADAPTER])
        self._initial = {name: tensor for name, tensor in self._initial.items() if name in self.trainable()}


def _fix(factor: nn.Module) -> None:
    """Make the weight of a factor a buffer: it is stored like a parameter, and no optimizer finds it."""
    weight = factor.get_parameter("weight").detach()
    del factor.weight
    factor.register_buffer("weight", weight)


def _layers(model: nn.Module) -> Iterator[tuple[str, LoraLayer]]:
    yield from ((name, layer) for name, layer in model.named_modules() if isinstance(layer, LoraLayer))
