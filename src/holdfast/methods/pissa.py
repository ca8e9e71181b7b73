"""PiSSA: LoRA that starts as the leading singular directions of each weight, taken out of the base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from peft import LoraConfig, PeftConfig
from torch import nn
from transformers import PreTrainedModel

from holdfast.methods.adapter import ConvertedAttachment
from holdfast.methods.ranked import RankedMethod


@dataclass(frozen=True)
class Pissa(RankedMethod):
    """Principal singular values and vectors adaptation (Meng et al., arXiv 2404.02948), by exact SVD.

    Attaching moves the leading part of each weight from the base into the adapter, so a disabled adapter is not the
    base. What is saved is plain LoRA of twice the rank on the untouched base. ``alpha`` is the rank where not given,
    as published. rsLoRA and DoRA cannot be combined with it: its conversion on save would then fail or be wrong.
    """

    name: ClassVar[str] = "pissa"
    moves_base: ClassVar[bool] = True
    served_as: ClassVar[str] = "lora"

    def config(self, model: PreTrainedModel) -> PeftConfig:
        # A skeleton without values has no singular vectors; counting its parameters needs none.
        counting = model.device.type == "meta"
        return LoraConfig(**self.options(self.r), init_lora_weights=True if counting else "pissa")

    def attach(self, model: nn.Module) -> ConvertedAttachment:
        assert isinstance(model, PreTrainedModel), "models are opened by transformers"
        return ConvertedAttachment(model, self.config(model))
