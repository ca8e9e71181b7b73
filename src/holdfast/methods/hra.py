"""HRA: the inputs of every linear layer pass a chain of trained reflections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from peft import HRAConfig, PeftConfig
from torch import nn
from transformers import PreTrainedModel

from holdfast.methods.adapter import AdapterMethod


@dataclass(frozen=True)
class Hra(AdapterMethod):
    """Householder reflection adaptation (Yuan et al., arXiv 2405.17484).

    Attributes:
        r: Reflections a layer. Even: they start in pairs that cancel, so an odd one would not start at the base.
    """

    name: ClassVar[str] = "hra"
    learning_rate: ClassVar[float] = 5e-4

    r: int = 8

    def config(self, model: PreTrainedModel) -> PeftConfig:
        return HRAConfig(r=self.r, target_modules="all-linear", task_type="CAUSAL_LM")

    def knob_values(self, model: nn.Module) -> Iterator[int]:
        yield from (value for value in super().knob_values(model) if value % 2 == 0)

    def faults(self) -> tuple[str, ...]:
        if self.r % 2:
            return (*super().faults(), f"hra: r={self.r} is odd and would not start at the base; use an even number")
        return super().faults()
