"""Which tensors of a tuner are scaled; that the table is true is tested on every tuner in test_catalogue."""

from __future__ import annotations

import pytest

from holdfast.core.errors import NotMeasurable
from holdfast.weights.paths.factors import LINEAR, factors_of, named


def test_names_are_compared_part_by_part() -> None:
    assert named("base_model.model.layers.0.q_proj.lora_B.weight", ("lora_B",))
    assert named("base_model.model.layers.0.q_proj.lora_E", ("lora_E",))
    assert named("base_model.tinylora_v.3", ("tinylora_v",))
    assert not named("base_model.model.embed_tokens.lora_embedding_B", ("lora_B",))
    assert not named("base_model.model.layers.0.q_proj.gralora_B_general", ("gralora_B",))


def test_no_tensor_is_both_scaled_and_held() -> None:
    assert not [tuner for tuner, factors in LINEAR.items() if set(factors.scaled) & set(factors.held)]


@pytest.mark.parametrize("config", [{"peft_type": "OFT"}, {"peft_type": "MISS", "init_weights": "bat"}])
def test_a_change_that_is_linear_in_nothing_has_no_additive_path(config: dict[str, str]) -> None:
    with pytest.raises(NotMeasurable) as caught:
        factors_of(config)
    assert str(caught.value) == (
        f"the change that an adapter of type {config['peft_type'].lower()} makes is linear in none of its tensors, so "
        "it has no additive path; another path may be there"
    )
