"""A small model, and every method on it as if it had been trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small import moved
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.testing.laws import small_model
from holdfast.weights.contracts import Method


@pytest.fixture
def model() -> PreTrainedModel:
    return small_model()


@pytest.fixture
def inputs() -> Tensor:
    return torch.randint(3, 128, (3, 11), generator=torch.Generator().manual_seed(4))


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
