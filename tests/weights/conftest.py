"""Every method on a small model, as if it had been trained."""

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
