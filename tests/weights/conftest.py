"""Every method on a small model, as if it had been trained, and adapters of any tuner as plain peft saves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftConfig, PeftType, get_peft_model
from small import moved
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedModel

from holdfast.testing.laws import small_model
from holdfast.weights.bare import given_back
from holdfast.weights.contracts import Method
from holdfast.weights.quiet import quiet


@pytest.fixture
def saved(tmp_path: Path, inputs: Tensor) -> Callable[..., tuple[Path, Tensor]]:
    """The folder of a method that has moved, and what the live model says."""

    def save(method: Method, base: PreTrainedModel | None = None) -> tuple[Path, Tensor]:
        attachment = moved(method, small_model() if base is None else base)
        folder = tmp_path / "adapter"
        attachment.save(folder)
        with torch.inference_mode():
            logits = attachment.model(input_ids=inputs).logits
        attachment.detach()
        return folder, logits

    return save


@dataclass(frozen=True)
class Made:
    """An adapter folder: its base, its trained tensors as they started, and what the live model said."""

    folder: Path
    base: PreTrainedModel
    initial: dict[str, Tensor]
    logits: Tensor
    before: Tensor


def config_of(tuner: str, **options: Any) -> PeftConfig:
    """A configuration on all linear layers, unless the options say where."""
    kind = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(tuner.upper())]
    placed = {"target_modules": "all-linear"} if "target_modules" in kind.__dataclass_fields__ else {}
    return kind(**{"task_type": "CAUSAL_LM", **placed, **options})


@pytest.fixture
def biased() -> PreTrainedModel:
    """A small model whose attention has biases that are not 0."""
    config = small_model().config
    config.attention_bias = True
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        for name, tensor in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(tensor, std=0.1)
    return model.eval()


@pytest.fixture
def made(tmp_path: Path, inputs: Tensor) -> Callable[..., Made]:
    def make(config: PeftConfig, base: PreTrainedModel | None = None, by: float = 0.05, name: str = "adapter") -> Made:
        base = small_model() if base is None else base
        folder = tmp_path / name
        with torch.inference_mode():
            before = base(input_ids=inputs).logits
        everything = [name for name, _ in base.named_parameters()]
        with torch.random.fork_rng(), given_back(base, everything), quiet():
            torch.manual_seed(6)
            attached = get_peft_model(base, config)
            trained = {name: tensor for name, tensor in attached.named_parameters() if tensor.requires_grad}
            initial = {name: tensor.detach().clone() for name, tensor in trained.items()}
            with torch.no_grad():
                for tensor in trained.values():
                    tensor.add_(by * torch.randn_like(tensor))
            attached.eval().save_pretrained(str(folder))
            with torch.inference_mode():
                logits = None if config.is_prompt_learning else attached(input_ids=inputs).logits
        return Made(folder, base, initial, before if logits is None else logits, before)

    return make


@pytest.fixture
def config() -> Callable[..., PeftConfig]:
    return config_of
