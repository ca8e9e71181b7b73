"""IA3: trained scales on the outputs of linear layers, and on the inputs of the last one of each MLP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from peft import IA3Config, PeftConfig
from transformers import PreTrainedModel

from holdfast.methods.adapter import AdapterMethod, linears

FEEDFORWARD = ("down_proj", "fc2", "dense_4h_to_h", "fc_out", "w2", "wo")
"""Names that model families give to the last linear layer of an MLP."""


@dataclass(frozen=True)
class Ia3(AdapterMethod):
    """Scaling vectors (Liu et al., arXiv 2205.05638) on all linear layers but the head. It has no knob."""

    name: ClassVar[str] = "ia3"
    learning_rate: ClassVar[float] = 3e-3
    knob: ClassVar[str | None] = None

    def config(self, model: PreTrainedModel) -> PeftConfig:
        names = sorted({name.rpartition(".")[2] for name, _ in linears(model)})
        return IA3Config(
            target_modules=names,
            feedforward_modules=[name for name in names if name in FEEDFORWARD],
            task_type="CAUSAL_LM",
        )
