"""Copies of the miniature's folder, to be damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from holdfast.models.base import Base, located


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(located("miniature"), tmp_path / "model"))


@pytest.fixture
def tokenizer(miniature: Base) -> PreTrainedTokenizerBase:
    return miniature.tokenizer
