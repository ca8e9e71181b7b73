"""Half fine-tuning holds a random half of the layers of every block, and an optimizer leaves them as they are."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from rivals import (
    OPTIMIZERS,
    Loop,
    Written,
    drifts_at_gradient_level,
    ends_as_if_never_stopped,
    held_and_moved,
    holds_on_lora,
    same,
)
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.core.errors import HoldfastError, RecipeError
from holdfast.methods.hft import Hft
from holdfast.testing.laws import small_model

ATTENTION, FEED_FORWARD = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")


def deep(blocks: int) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**{**small_model().config.to_dict(), "num_hidden_layers": blocks}))


def held(trained: Loop) -> set[str]:
    """Names of what is held; whatever is held is held whole."""
    mask = trained.isolation.mask()
    assert all(bits.count() in (0, bits.size) for bits in mask.values())
    return {name for name, bits in mask.items() if bits.count()}


def drawn(method: Hft, model: PreTrainedModel) -> set[str]:
    trained = Loop(model=model).isolate(method)
    trained.run(0, 1)
    return held(trained)


@pytest.mark.parametrize("blocks", [1, 2, 4, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_half_of_every_kind_is_held_in_every_block(blocks: int, seed: int) -> None:
    names = drawn(Hft(seed=seed), deep(blocks))
    count = Counter((name.split(".")[2], name.split(".")[3]) for name in names)
    feed_forward = []
    for block in map(str, range(blocks)):
        assert count[block, "self_attn"] == 2
        assert count[block, "input_layernorm"] + count[block, "post_attention_layernorm"] == 1
        feed_forward.append(count[block, "mlp"])
    assert sorted(feed_forward) == [1] * math.ceil(blocks / 2) + [2] * (blocks // 2)
    assert all(".layers." in name for name in names)


def test_every_layer_has_its_turn() -> None:
    turns = Counter(name for seed in range(24) for name in drawn(Hft(seed=seed), small_model()))
    inner = [name for name, _ in small_model().named_parameters() if ".layers." in name]
    assert set(turns) == set(inner)
    assert all(3 <= turns[name] <= 21 for name in inner)


@pytest.mark.parametrize("interval", [math.inf, 2])
def test_it_trains_as_a_loop_in_which_the_held_half_has_no_gradient(interval: float) -> None:
    ours, twin = Loop().isolate(Hft(interval=interval)), Written()
    rounds = []
    for step in range(6):
        ours.backward(step)
        twin.backward(step)
        before = ours.weights()
        rest = frozenset(held(ours)) if step else frozenset(drawn(Hft(interval=interval), small_model()))
        ours.optimizer.step()
        ours.optimizer.zero_grad()
        twin.step({}, skipped=rest)
        assert all(torch.equal(before[name], ours.tensors[name]) for name in rest)
        rounds.append(rest)
    assert same(ours.weights(), twin.weights())
    assert len(set(rounds)) == (1 if interval == math.inf else 3)


@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_nothing_that_is_held_moves_under_any_optimizer_nor_takes_a_copy(build: Any) -> None:
    trained = Loop(build).isolate(Hft())
    start = trained.weights()
    moved = trained.run(0, 5).weights()
    names = held(trained)
    assert all(torch.equal(start[name], moved[name]) for name in names)
    assert all((start[name] != moved[name]).float().mean() > 0.9 for name in set(start) - names if ".layers." in name)
    assert all(trained.tensors[name] not in trained.optimizer.state for name in names)
    assert trained.isolation.extra_bytes() == sum(-(-start[name].numel() // 8) for name in names)


@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_withholding_gradients_trains_as_putting_values_back_does(build: Any) -> None:
    withheld = Loop(build).isolate(Hft()).run(0, 5)
    put_back = Loop(build).isolate(Hft(moments="keep")).run(0, 5)
    assert same(withheld.weights(), put_back.weights())
    copies = sum(4 * put_back.tensors[name].numel() for name in held(put_back))
    assert put_back.isolation.extra_bytes() == copies + withheld.isolation.extra_bytes()


def test_what_becomes_of_moments_is_a_matter_of_choice() -> None:
    """Held from step 2 to 4, after two steps of training: the moments stand still, or go on, or start from zero."""
    first, second = (held(Loop().isolate(Hft(interval=2)).run(0, end)) for end in (1, 3))
    third = held(Loop().isolate(Hft(interval=2)).run(0, 5))
    name = sorted(second - first - third)[0]
    found = {}
    for moments in ("freeze", "keep", "reset_on_release"):
        trained = Loop().isolate(Hft(interval=2, moments=moments))
        state = trained.optimizer.state
        found[moments] = [
            {key: value.clone() for key, value in state[trained.run(end - 2, end).tensors[name]].items()}
            for end in (2, 4)
        ]
    before, after = found["freeze"]
    assert all(torch.equal(before[key], after[key]) for key in before) and int(after["step"]) == 2
    before, after = found["keep"]
    assert not torch.equal(before["exp_avg"], after["exp_avg"]) and int(after["step"]) == 4
    before, after = found["reset_on_release"]
    assert before["exp_avg"].any() and not after["exp_avg"].any() and int(after["step"]) == 2


def test_gradients_are_still_there_after_the_step() -> None:
    trained = Loop().isolate(Hft())
    trained.backward(0)
    before = {name: tensor.grad.clone() for name, tensor in trained.tensors.items()}
    trained.optimizer.step()
    assert held(trained) and same(before, {name: tensor.grad for name, tensor in trained.tensors.items()})


class Stranger(torch.optim.AdamW):
    """An optimizer of which nobody knows what it does without gradients: it decays everything."""

    def step(self, closure: Any = None) -> Any:
        with torch.no_grad():
            for group in self.param_groups:
                for tensor in group["params"]:
                    tensor.mul_(0.9)
        return super().step(closure)


def test_of_an_optimizer_that_is_not_known_held_values_are_put_back() -> None:
    trained = Loop(lambda tensors: Stranger(tensors, lr=1e-2)).isolate(Hft())
    start = trained.weights()
    moved = trained.run(0, 3).weights()
    assert all(torch.equal(start[name], moved[name]) for name in held(trained))
    assert trained.isolation.extra_bytes() > sum(4 * start[name].numel() for name in held(trained))


def test_a_closure_that_makes_gradients_within_the_step_is_told() -> None:
    trained = Loop().isolate(Hft())
    trained.backward(0)

    def closure() -> None:
        trained.optimizer.zero_grad()
        with torch.enable_grad():
            trained.backward(0)

    with pytest.raises(HoldfastError, match="was to be held and got a gradient within the step: optimizers that are"):
        trained.optimizer.step(closure)


def test_with_masked_gradients_the_held_half_drifts() -> None:
    drifts_at_gradient_level(Hft())


def test_resumed_in_the_second_round_it_ends_as_if_never_stopped() -> None:
    for moments in ("freeze", "keep", "reset_on_release"):
        ends_as_if_never_stopped(Hft(interval=3, moments=moments))


def test_with_matrices_alone_eligible_norms_are_trained() -> None:
    assert not any("norm" in name for name in drawn(Hft(eligible="matrices"), small_model()))


def test_queries_keys_and_values_in_one_matrix_are_one_layer_and_biases_go_with_theirs() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=32, n_embd=16, n_layer=4, n_head=2))
    trained = Loop(model=model).isolate(Hft())
    mask_names = None
    trained.run(0, 1)
    mask_names = held(trained)
    assert all(name.removesuffix("bias") + "weight" in mask_names for name in mask_names if name.endswith("bias"))
    for block in range(4):
        own = {name.split(f"h.{block}.")[1] for name in mask_names if f"h.{block}." in name and name.endswith("weight")}
        assert sum(name.startswith("attn") for name in own) == 1
        assert sum(name.startswith("mlp") for name in own) == 1
        assert sum(name.startswith("ln") for name in own) == 1
    held_flags, moved = held_and_moved(trained, 1)
    assert not moved[held_flags].any()


def test_of_an_adapter_both_factors_of_a_layer_are_held() -> None:
    torch.manual_seed(3)
    attachment = Hft(on="lora(r=4)").attach(small_model())
    optimizer = torch.optim.AdamW(attachment.trainable().values())
    attachment.before_training(optimizer, 8)
    for tensor in attachment.trainable().values():
        tensor.grad = torch.ones_like(tensor)
    optimizer.step()
    names = {name for name, bits in attachment.isolation.mask().items() if bits.count() == bits.size}
    layers = Counter(name.split(".lora_")[0] for name in names)
    assert set(layers.values()) == {2} and len(layers) == 2 * 2 + 2 + 1


def test_it_works_on_an_adapter() -> None:
    holds_on_lora(Hft())
    holds_on_lora(Hft(interval=3))


def test_norms_alone_can_be_halved() -> None:
    attachment = Hft(on="layernorm").attach(small_model())
    optimizer = torch.optim.AdamW(attachment.trainable().values())
    attachment.before_training(optimizer, 8)
    for tensor in attachment.trainable().values():
        tensor.grad = torch.ones_like(tensor)
    optimizer.step()
    assert attachment.isolation.mask().count() == 2 * 64


def test_options_are_written_and_read() -> None:
    assert Hft().spec() == "hft" and Hft().faults() == ()
    assert Hft(interval=4, seed=2).spec() == "hft(seed=2, interval=4)"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"seed": -1}, "seed=-1 must be a whole number of 0 or more"),
        ({"interval": 0}, "interval=0 must be a whole number of steps of 1 or more, or infinite"),
        ({"moments": "lost"}, "moments='lost' must be one of keep, freeze, reset_on_release"),
        ({"eligible": "half"}, "eligible='half' must be one of matrices, all"),
    ],
)
def test_options_out_of_range_are_told(options: dict[str, Any], fault: str) -> None:
    assert f"hft: {fault}" in Hft(**options).faults()
    with pytest.raises(RecipeError):
        Hft(**options).attach(small_model())
