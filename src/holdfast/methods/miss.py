"""MiSS: one small matrix a layer, shared by shards of its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from peft import MissConfig, PeftConfig
from transformers import PreTrainedModel

from holdfast.methods.adapter import AdapterMethod


@dataclass(frozen=True)
class Miss(AdapterMethod):
    """Matrix shard sharing (Kang and Yin, arXiv 2409.15371) on all linear layers but the head.

    Attributes:
        r: Rank of the shared matrix.
        dropout: Share of inputs dropped in training.
    """

    name: ClassVar[str] = "miss"

    r: int = 16
    dropout: float = 0.0

    def config(self, model: PreTrainedModel) -> PeftConfig:
        return MissConfig(r=self.r, miss_dropout=self.dropout, target_modules="all-linear", task_type="CAUSAL_LM")
