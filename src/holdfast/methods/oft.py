"""OFT: the inputs of every linear layer are turned, block by block, by an exact rotation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from peft import OFTConfig, PeftConfig
from torch import nn
from transformers import PreTrainedModel

from holdfast.methods.adapter import AdapterMethod
from holdfast.methods.blocks import block_sizes, check_block_size


@dataclass(frozen=True)
class Oft(AdapterMethod):
    """Orthogonal fine-tuning (Qiu et al., arXiv 2306.07280; OFTv2, arXiv 2506.19847) by the Cayley map.

    Deviation from peft's default: the Cayley map is exact, so that weights keep their singular values; peft
    approximates it by a truncated series, which is no rotation for larger generators.

    Attributes:
        block_size: Width of the blocks that are turned; it divides the inputs of every layer.
        exact: Exact Cayley map; ``False`` for peft's five-term series.
        dropout: Share of blocks left unturned in a training step.
    """

    name: ClassVar[str] = "oft"
    learning_rate: ClassVar[float] = 5e-4
    knob: ClassVar[str | None] = "block_size"

    block_size: int = 32
    exact: bool = True
    dropout: float = 0.0

    def config(self, model: PreTrainedModel) -> PeftConfig:
        check_block_size(self.name, self.block_size, model)
        return OFTConfig(
            r=0,
            oft_block_size=self.block_size,
            module_dropout=self.dropout,
            use_cayley_neumann=not self.exact,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )

    def knob_values(self, model: nn.Module) -> Iterator[int]:
        yield from block_sizes(model)
