"""DoRA: LoRA for the direction of each weight row, and a trained magnitude beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from peft import LoraConfig, PeftConfig
from transformers import PreTrainedModel

from holdfast.methods.ranked import RankedMethod


@dataclass(frozen=True)
class Dora(RankedMethod):
    """Weight-decomposed low-rank adaptation (Liu et al., arXiv 2402.09353); ``alpha`` as for LoRA."""

    name: ClassVar[str] = "dora"

    def config(self, model: PreTrainedModel) -> PeftConfig:
        return LoraConfig(**self.options(2 * self.r), use_dora=True)
