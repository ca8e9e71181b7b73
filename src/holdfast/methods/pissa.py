"""PiSSA: LoRA that starts as the leading singular directions of each weight, taken out of the base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from peft import LoraConfig, PeftConfig
from torch import nn
from transformers import PreTrainedModel

from holdfast.methods.adapter import AdapterMethod, ConvertedAttachment


@dataclass(frozen=True)
class Pissa(AdapterMethod):
    """Principal singular values and vectors adaptation (Meng et al., arXiv 2404.02948), by exact SVD.

    Attaching moves the leading part of each weight from the base into the adapter, so a disabled adapter is not the
    base. What is saved is plain LoRA of twice the rank on the untouched base.

    Attributes:
        r: Rank that is trained; the stored rank is twice that.
        alpha: Numerator of the scale ``alpha / r``; the rank where not given, as published.
    """

    name: ClassVar[str] = "pissa"
    moves_base: ClassVar[bool] = True
    served_as: ClassVar[str] = "lora"

    r: int = 8
    alpha: float | None = None

    def config(self, model: PreTrainedModel) -> PeftConfig:
        # A skeleton without values has no singular vectors; counting its parameters needs none.
        counting = model.device.type == "meta"
        return LoraConfig(
            r=self.r,
            lora_alpha=self.r if self.alpha is None else self.alpha,  # type: ignore[arg-type]
            init_lora_weights=True if counting else "pissa",
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )

    def attach(self, model: nn.Module) -> ConvertedAttachment:
        assert isinstance(model, PreTrainedModel), "models are opened by transformers"
        return ConvertedAttachment(model, self.config(model))
