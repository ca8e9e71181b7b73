"""What all tests share: no network, one thread, a small model, and the miniature, which no test may change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.models.base import Base, open_base
from holdfast.models.identity import identity_of
from holdfast.testing.laws import small_model

torch.set_num_threads(1)
settings.register_profile("holdfast", deadline=None, derandomize=True, database=None)
settings.load_profile("holdfast")


@pytest.fixture(scope="session")
def miniature() -> Iterator[Base]:
    base = open_base("miniature")
    yield base
    assert identity_of(base.model) == base.identity, "a test has changed the miniature that all tests share"


@pytest.fixture
def model() -> PreTrainedModel:
    """A small model that a test may do with as it likes."""
    return small_model()


@pytest.fixture
def inputs() -> Tensor:
    """Tokens for it to read."""
    return torch.randint(3, 128, (3, 11), generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="session")
def real() -> Path:
    """Where weights and data lie that are not part of the project."""
    folder = Path(os.environ.get("HOLDFAST_REAL", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}: set HOLDFAST_REAL to a folder with real weights and data")
    return folder
