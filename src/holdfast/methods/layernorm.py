"""Tuning of the normalisation layers alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from peft import LNTuningConfig, PeftConfig
from transformers import PreTrainedModel

from holdfast.core.errors import RecipeError
from holdfast.methods.adapter import AdapterMethod


@dataclass(frozen=True)
class LayerNorm(AdapterMethod):
    """Train the scales (and shifts) of all normalisation layers (Zhao et al., arXiv 2312.11420). It has no knob."""

    name: ClassVar[str] = "layernorm"
    learning_rate: ClassVar[float] = 3e-3
    knob: ClassVar[str | None] = None

    def config(self, model: PreTrainedModel) -> PeftConfig:
        norms = [name for name, module in model.named_modules() if type(module).__name__.endswith("Norm")]
        if not norms:
            raise RecipeError([f"layernorm: {type(model).__name__} has no normalisation layers to train"])
        return LNTuningConfig(target_modules=norms, task_type="CAUSAL_LM")
