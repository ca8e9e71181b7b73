"""LoRA-FA: LoRA whose random ``A`` is frozen: what can be learned is known before anything is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from transformers import PreTrainedModel

from holdfast.methods.frozen_a import FrozenA, FrozenAAttachment


@dataclass(frozen=True)
class LoraFa(FrozenA):
    """LoRA with ``A`` as it was drawn and ``B`` trained from 0 (Zhang et al., arXiv 2308.03303); ``alpha`` is the rank.

    What it can learn is known beforehand: the changes ``B A`` with this ``A``. ``holdfast basin --directions adapter``
    certifies what every such change of a given length keeps.
    """

    name: ClassVar[str] = "lora_fa"

    def attach(self, model: nn.Module) -> FrozenAAttachment:
        assert isinstance(model, PreTrainedModel), "models are opened by transformers"
        return FrozenAAttachment(model, self.config(model))
