"""What LoRA and its kin share: a rank, a scale, and ranks that may differ between kinds of layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from torch import nn

from holdfast.methods.adapter import AdapterMethod, linears


@dataclass(frozen=True)
class RankedMethod(AdapterMethod):
    """A method with a rank on all linear layers but the head.

    Attributes:
        r: Rank.
        alpha: Numerator of the scale ``alpha / r``; each method has its own default.
        dropout: Share of inputs dropped in training.
        rank_pattern: Kinds of layers that have another rank, with that rank.
    """

    r: int = 8
    alpha: float | None = None
    dropout: float = 0.0
    rank_pattern: tuple[tuple[str, int], ...] = ()

    def kinds(self, model: nn.Module) -> tuple[str, ...]:
        """The kinds of layers the method acts on: the last part of their names."""
        return tuple(dict.fromkeys(name.rpartition(".")[2] for name, _ in linears(model)))

    def with_one_more(self, kinds: frozenset[str]) -> Self:
        """The method with one rank more in layers of these kinds."""
        return replace(self, rank_pattern=tuple((kind, self.r + 1) for kind in sorted(kinds)))

    def options(self, default_alpha: float) -> dict[str, Any]:
        """The options of peft's configuration; the scale ``alpha / rank`` is the same in all layers."""
        alpha = default_alpha if self.alpha is None else self.alpha
        return {
            "r": self.r,
            "lora_alpha": alpha,
            "lora_dropout": self.dropout,
            "rank_pattern": dict(self.rank_pattern),
            "alpha_pattern": {kind: alpha * rank / self.r for kind, rank in self.rank_pattern},
            "target_modules": "all-linear",
            "task_type": "CAUSAL_LM",
        }
