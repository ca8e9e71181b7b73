"""LoRA: a low-rank product added to every linear layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from peft import LoraConfig, PeftConfig
from transformers import PreTrainedModel

from holdfast.methods.ranked import RankedMethod


@dataclass(frozen=True)
class Lora(RankedMethod):
    """Low-rank adaptation (Hu et al., arXiv 2106.09685); ``alpha`` is twice the rank where not given.

    Attributes:
        use_rslora: Scale by ``alpha / sqrt(r)`` instead (Kalajdzievski, arXiv 2312.03732).
    """

    name: ClassVar[str] = "lora"
    served_as: ClassVar[str] = "lora"

    use_rslora: bool = False

    def config(self, model: PreTrainedModel) -> PeftConfig:
        return LoraConfig(**self.options(2 * self.r), use_rslora=self.use_rslora)

    def faults(self) -> tuple[str, ...]:
        if self.use_rslora and self.rank_pattern:
            return (*super().faults(), "lora: use_rslora and rank_pattern scale layers differently; use one of them")
        return super().faults()
