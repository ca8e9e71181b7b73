"""LoRA: a low-rank product added to every linear layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from peft import LoraConfig, PeftConfig
from transformers import PreTrainedModel

from holdfast.methods.adapter import AdapterMethod


@dataclass(frozen=True)
class Lora(AdapterMethod):
    """Low-rank adaptation (Hu et al., arXiv 2106.09685) on all linear layers but the head.

    Attributes:
        r: Rank.
        alpha: Numerator of the scale ``alpha / r``; twice the rank where not given.
        dropout: Share of inputs dropped in training.
        use_rslora: Scale by ``alpha / sqrt(r)`` instead (Kalajdzievski, arXiv 2312.03732).
    """

    name: ClassVar[str] = "lora"
    served_as: ClassVar[str] = "lora"

    r: int = 8
    alpha: float | None = None
    dropout: float = 0.0
    use_rslora: bool = False

    def config(self, model: PreTrainedModel) -> PeftConfig:
        return LoraConfig(
            r=self.r,
            lora_alpha=2 * self.r if self.alpha is None else self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            use_rslora=self.use_rslora,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
