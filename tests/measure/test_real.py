"""Losses of real pretrained models on real text, against numbers found by an independent implementation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.core.task import Example
from holdfast.measure.reading import read
from holdfast.models.base import open_base

pytestmark = pytest.mark.real


def stories(real: Path) -> list[str]:
    """Every sixth story of the sample from the 1,028th on; the last of the file is cut off and left out."""
    text = (real / "data/tinystories/tinystories_sample_2MiB.txt").read_text(encoding="utf-8")
    return [story.strip() for story in text.split("<|endoftext|>")][1028:-1:6]


def articles(real: Path) -> list[str]:
    """The first 1,500 characters of each article."""
    lines = (real / "data/general_text/wiki_demo.txt").read_text(encoding="utf-8").splitlines()
    return [line[:1500] for line in lines if line.strip()]


@pytest.mark.parametrize(
    ("model", "texts", "nats_per_token"),
    [
        ("stories260K", stories, 1.494),
        ("stories3M", stories, 1.582),
        ("stories260K", articles, 4.365),
        ("stories3M", articles, 5.668),
    ],
)
def test_the_loss_of_a_real_model_is_the_one_that_others_found(
    real: Path, model: str, texts: Callable[[Path], list[str]], nats_per_token: float
) -> None:
    base = open_base(str(real / "models" / model))
    examples = [Example(str(index), "", text) for index, text in enumerate(texts(real))]
    found = read(base.model, base.tokenizer, examples)
    assert sum(one.nats for one in found) / sum(one.tokens for one in found) == pytest.approx(nats_per_token, abs=0.001)
