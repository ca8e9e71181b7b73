"""A base that had an adapter on it is the base it was, whatever the adapter trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small import bits, same_bits
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.core.errors import DamagedCheckpoint, IncompatibleUpdate
from holdfast.weights.borrowed import borrowed

Make = Callable[..., Any]
OPTIONS: dict[str, dict[str, Any]] = {
    "low rank": {},
    "magnitudes": {"use_dora": True},
    "head": {"modules_to_save": ["lm_head"]},
    "tokens": {"trainable_token_indices": [3, 4]},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "biases": {"bias": "all"},
    "biases of its layers": {"bias": "lora_only"},
    "part of the base": {"init_lora_weights": "pissa"},
    "part of the base and biases": {"init_lora_weights": "olora", "bias": "all"},
}


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers` to `True`")
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_base_is_given_back_as_it_was(
    made: Make, config: Make, inputs: Tensor, biased: PreTrainedModel, options: dict[str, Any], fails: bool
) -> None:
    adapter = made(config("lora", r=4, **options), biased)
    biased.model.norm.weight.requires_grad_(False)
    biased.model.layers[0].train()
    before, parts, training = bits(biased), list(biased.named_modules()), [m.training for m in biased.modules()]
    attributes = set(vars(biased))
    try:
        with borrowed(adapter.folder, biased) as tuned, torch.inference_mode():
            torch.testing.assert_close(tuned.model(input_ids=inputs).logits, adapter.logits, rtol=0, atol=1e-6)
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert same_bits(bits(biased), before)
    assert list(biased.named_modules()) == parts
    assert [module.training for module in biased.modules()] == training
    assert set(vars(biased)) == attributes
    biased.eval()
    with torch.inference_mode():
        assert torch.equal(biased(input_ids=inputs).logits, adapter.before)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers` to `True`")
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_update_has_everything_that_the_adapter_changed(
    made: Make, config: Make, inputs: Tensor, biased: PreTrainedModel, options: dict[str, Any]
) -> None:
    adapter = made(config("lora", r=4, **options), biased)
    with borrowed(adapter.folder, biased) as tuned:
        update = tuned.update()
    with update.added_to(biased), torch.inference_mode():
        torch.testing.assert_close(biased(input_ids=inputs).logits, adapter.logits, rtol=0, atol=2e-5)


def test_an_adapter_that_is_damaged_leaves_the_base_whole(made: Make, config: Make, model: PreTrainedModel) -> None:
    adapter = made(config("lora", r=4))
    (adapter.folder / "adapter_model.safetensors").write_bytes(b"short")
    before = bits(model)
    with pytest.raises(DamagedCheckpoint), borrowed(adapter.folder, model):
        pytest.fail("the block was entered")
    assert same_bits(bits(model), before)


def test_one_adapter_is_not_put_on_another(made: Make, config: Make, model: PreTrainedModel) -> None:
    adapter = made(config("lora", r=4))
    before = bits(model)
    with pytest.raises(IncompatibleUpdate) as caught, borrowed(adapter.folder, model), borrowed(adapter.folder, model):
        pytest.fail("the block was entered")
    assert str(caught.value) == (
        f"the base has an adapter on it already, and that in {adapter.folder} would go on top; leave the walk, or take "
        "the other off first"
    )
    assert same_bits(bits(model), before)
