"""VeRA: trained scales around two random matrices that all layers share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from peft import PeftConfig, VeraConfig
from torch import nn
from transformers import PreTrainedModel

from holdfast.methods.adapter import AdapterMethod, linears


@dataclass(frozen=True)
class Vera(AdapterMethod):
    """Vector-based random matrix adaptation (Kopiczko et al., arXiv 2310.11454).

    Its count grows by one scalar a layer and rank, so that large budgets would ask for ranks far above the width of
    the layers, at a cost in time and storage that the count does not show. The knob stops at twice the widest layer.

    Attributes:
        r: Rank of the random matrices.
        dropout: Share of inputs dropped in training.
    """

    name: ClassVar[str] = "vera"
    learning_rate: ClassVar[float] = 3e-3

    r: int = 256
    dropout: float = 0.0

    def config(self, model: PreTrainedModel) -> PeftConfig:
        return VeraConfig(
            r=self.r,
            vera_dropout=self.dropout,
            # The projections are stored: a generator's stream is not promised to be the same everywhere.
            save_projection=True,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )

    def knob_values(self, model: nn.Module) -> Iterator[int]:
        widest = max(max(linear.weight.shape) for _, linear in linears(model))
        yield from range(1, 2 * widest + 1)
