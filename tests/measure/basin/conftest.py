"""A model of a thousand weights, and an ability that is one of them: what noise does to it is known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
import torch
from scipy.stats import norm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.measure.basin.ability import Scored
from holdfast.models.base import Base
from holdfast.models.identity import identity_of

WEIGHT = "lm_head.weight"
MARGINS = (0.5, 1.0, 2.0, 4.0)


@pytest.fixture
def tiny() -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


@pytest.fixture
def tiny_base(tiny: PreTrainedModel) -> Base:
    return Base("tiny", tiny, cast(Any, None), identity_of(tiny))


Threshold = Callable[..., Scored]


@pytest.fixture
def threshold(tiny: PreTrainedModel) -> Threshold:
    """An item is right for as long as the first weight of the head has fallen by no more than the item's margin."""
    start = float(tiny.get_parameter(WEIGHT).detach()[0, 0])

    def made(margins: Sequence[float] = MARGINS, name: str = "threshold", asked: list[Any] | None = None) -> Scored:
        def score(model: PreTrainedModel, items: Sequence[int]) -> list[float]:
            if asked is not None:
                asked.append(list(items))
            fallen = start - float(model.get_parameter(WEIGHT).detach()[0, 0])
            return [float(margins[item] >= fallen) for item in items]

        return Scored(name, len(margins), score, key=f"threshold {list(margins)}")

    return made


def expected(sigma: float, margins: Sequence[float] = MARGINS) -> float:
    """The mean score under noise."""
    return float(norm.cdf(torch.tensor(margins) / sigma).mean())
