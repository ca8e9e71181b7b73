"""Reasons why there is no way back."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.core.errors import NotMeasurable
from holdfast.weights.paths.refusals import require_base_intact, require_fresh_base, require_way_back


@pytest.mark.parametrize("tuner", ["XLORA", "POLY", "SHADOW"])
def test_tuners_that_are_no_change_of_a_base_have_none(tuner: str) -> None:
    with pytest.raises(NotMeasurable, match=f"an? {tuner.lower()} adapter"):
        require_way_back({"peft_type": tuner})


def test_virtual_tokens_have_none() -> None:
    require_way_back({"peft_type": "LORA"})
    with pytest.raises(NotMeasurable, match="a prefix_tuning adapter adds virtual tokens"):
        require_way_back({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 3})


def test_a_base_that_is_cut_is_not_intact() -> None:
    require_base_intact({"init_lora_weights": True})
    require_base_intact({"init_lora_weights": "gaussian", "kasa_config": None})
    with pytest.raises(NotMeasurable, match="a kasa adapter cuts the base whenever it is loaded"):
        require_base_intact({"init_lora_weights": True, "kasa_config": {"beta": 1e-4}})


@pytest.mark.parametrize(
    ("config", "off"),
    [
        ({"peft_type": "C3A"}, "c3a"),
        ({"peft_type": "HRA", "apply_GS": True}, r"hra \(apply_GS\)"),
        ({"peft_type": "HRA", "apply_GS": False}, None),
        ({"peft_type": "DEFT", "para": True}, r"deft \(para\)"),
        ({"peft_type": "DEFT"}, None),
        ({"peft_type": "LORA"}, None),
    ],
)
def test_tuners_that_start_off_the_base_are_known(config: dict[str, Any], off: str | None) -> None:
    if off is None:
        require_fresh_base(config)
        return
    with pytest.raises(NotMeasurable, match=f"a fresh {off} adapter already changes what the model says"):
        require_fresh_base(config)
