"""DoRA: LoRA for the direction of each weight row, and a trained magnitude beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from peft import LoraConfig, PeftConfig
from transformers import PreTrainedModel

from holdfast.methods.adapter import AdapterMethod


@dataclass(frozen=True)
class Dora(AdapterMethod):
    """Weight-decomposed low-rank adaptation (Liu et al., arXiv 2402.09353) on all linear layers but the head.

    Attributes:
        r: Rank.
        alpha: Numerator of the scale ``alpha / r``; twice the rank where not given.
        dropout: Share of inputs dropped in training.
    """

    name: ClassVar[str] = "dora"

    r: int = 8
    alpha: float | None = None
    dropout: float = 0.0

    def config(self, model: PreTrainedModel) -> PeftConfig:
        return LoraConfig(
            r=self.r,
            lora_alpha=2 * self.r if self.alpha is None else self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            use_dora=True,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
