"""AdaLoRA: LoRA in SVD form whose ranks are allotted to layers while training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from peft import AdaLoraConfig, PeftConfig
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.core.errors import HoldfastError
from holdfast.methods.adapter import AdapterAttachment, AdapterMethod, linears

AVERAGES = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What peft's allocator of ranks remembers of every tensor."""


@dataclass(frozen=True)
class AdaLora(AdapterMethod):
    """Adaptive budget allocation (Zhang et al., arXiv 2303.10512).

    peft leaves the allocation to the training loop, and without it the ranks stay where they start; here it is part
    of the method. The budget counts the initial rank, which is the largest.

    Attributes:
        init_r: Rank of every layer at the start.
        target_r: Mean rank at the end; two thirds of the initial one where not given, as peft's defaults have it.
        alpha: Numerator of the scale ``alpha / rank``.
        warmup_frac: Share of the steps before ranks begin to fall.
        settle_frac: Share of the steps, at the end, after which ranks are fixed.
        orthogonality: Weight of the penalty that keeps the singular vectors orthogonal.
    """

    name: ClassVar[str] = "adalora"
    knob: ClassVar[str | None] = "init_r"
    may_be_0: ClassVar[tuple[str, ...]] = ("warmup_frac", "settle_frac", "orthogonality")

    init_r: int = 12
    target_r: int | None = None
    alpha: float = 16.0
    warmup_frac: float = 0.1
    settle_frac: float = 0.3
    orthogonality: float = 0.5

    def config(self, model: PreTrainedModel) -> PeftConfig:
        return AdaLoraConfig(
            init_r=self.init_r,
            target_r=max(1, round(self.init_r * 2 / 3)) if self.target_r is None else self.target_r,
            lora_alpha=self.alpha,
            # The schedule is set when training starts and the number of steps is known.
            tinit=0,
            tfinal=0,
            deltaT=1,
            total_step=1,
            # The attachment's penalty; peft would add its own, a second time, to losses that the model works out.
            orth_reg_weight=0.0,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )

    def parameters(self, model: nn.Module) -> int:
        """How many parameters attaching would train, at the initial rank."""
        # On skeletons, and on them alone, peft also leaves the scalar trainable that holds the rank of each layer.
        return super().parameters(model) - len(linears(model))

    def attach(self, model: nn.Module) -> AdaLoraAttachment:
        assert isinstance(model, PreTrainedModel), "models are opened by transformers"
        return AdaLoraAttachment(model, self)


class AdaLoraAttachment(AdapterAttachment):
    """An AdaLoRA adapter that allots its ranks after every step."""

    def __init__(self, model: PreTrainedModel, method: AdaLora) -> None:
        super().__init__(model, method.config(model))
        self._method = method

    def before_forward(self, step: int, steps: int) -> None:
        config = self.model.peft_config["default"]
        config.total_step = steps
        config.tinit = round(self._method.warmup_frac * steps)
        config.tfinal = round(self._method.settle_frac * steps)
        if config.tinit >= steps - config.tfinal:
            raise HoldfastError(
                f"adalora: {steps} steps leave none in which ranks could be allotted; "
                "train for more steps, or lower warmup_frac and settle_frac"
            )

    def after_step(self, step: int, steps: int) -> None:
        # The allocator reads the gradients of this step, which are still there.
        self.model.base_model.update_and_allocate(step + 1)

    def state(self) -> Mapping[str, Tensor]:
        """The moving averages from which ranks are allotted, and the ranks allotted so far."""
        allocator = self.model.base_model.rankallocator
        averages = {f"{kind}/{name}": tensor for kind in AVERAGES for name, tensor in getattr(allocator, kind).items()}
        pattern = self.model.peft_config["default"].rank_pattern or {}
        return {**averages, **{f"rank_pattern/{name}": torch.tensor(kept) for name, kept in pattern.items()}}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up the averages and the ranks."""
        allocator = self.model.base_model.rankallocator
        pattern = {}
        for key, tensor in state.items():
            kind, _, name = key.partition("/")
            if kind == "rank_pattern":
                pattern[name] = tensor.tolist()
            else:
                getattr(allocator, kind)[name] = tensor
        self.model.peft_config["default"].rank_pattern = pattern

    def penalty(self) -> Tensor | None:
        if self._method.orthogonality == 0:
            return None
        terms = []
        for name, tensor in self.trainable().items():
            if "lora_A" in name or "lora_B" in name:
                gram = tensor @ tensor.T if "lora_A" in name else tensor.T @ tensor
                terms.append(torch.linalg.matrix_norm(gram - torch.eye(len(gram), device=gram.device)))
        return self._method.orthogonality * torch.stack(terms).mean()
