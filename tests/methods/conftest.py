"""A small model to put methods on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.testing.laws import small_model


@pytest.fixture
def model() -> PreTrainedModel:
    return small_model()


@pytest.fixture
def inputs() -> Tensor:
    return torch.randint(3, 128, (3, 11), generator=torch.Generator().manual_seed(4))
