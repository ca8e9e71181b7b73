"""BOFT: rotations made of butterfly factors, with a trained scale on the outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from peft import BOFTConfig, PeftConfig
from torch import nn
from transformers import PreTrainedModel

from holdfast.core.errors import RecipeError
from holdfast.methods.adapter import AdapterAttachment, AdapterMethod
from holdfast.methods.blocks import block_sizes, check_block_size


@dataclass(frozen=True)
class Boft(AdapterMethod):
    """Orthogonal butterfly fine-tuning (Liu et al., arXiv 2311.06243).

    Attributes:
        block_size: Width of the blocks of each factor; it divides the inputs of every layer.
        factors: Butterfly factors. peft reduces them to 1, with no more than a warning, where its CUDA extension
            cannot be built, so that the same recipe would train different models on different machines: more than 1
            is refused there.
        dropout: Share of blocks left unturned in a training step.
    """

    name: ClassVar[str] = "boft"
    learning_rate: ClassVar[float] = 5e-4
    knob: ClassVar[str | None] = "block_size"

    block_size: int = 8
    factors: int = 1
    dropout: float = 0.0

    def config(self, model: PreTrainedModel) -> PeftConfig:
        check_block_size(self.name, self.block_size, model)
        return BOFTConfig(
            boft_block_size=self.block_size,
            boft_block_num=0,
            boft_n_butterfly_factor=self.factors,
            boft_dropout=self.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )

    def knob_values(self, model: nn.Module) -> Iterator[int]:
        yield from block_sizes(model)

    def attach(self, model: nn.Module) -> AdapterAttachment:
        attachment = super().attach(model)
        tensors = [tensor for name, tensor in attachment.trainable().items() if "boft_R" in name]
        if any(tensor.shape[0] != self.factors for tensor in tensors):
            attachment.detach()
            raise RecipeError(
                [f"boft: factors={self.factors} needs peft's CUDA extension, which is missing here; use factors=1"]
            )
        return attachment
