"""MIGU trains the rows that say most in a step, and holds the others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loops import Course, batch, moved, same
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from holdfast.core.errors import HoldfastError, NotMeasurable, RecipeError
from holdfast.methods.migu import ByOutput, Migu
from holdfast.methods.on_top import method_named
from holdfast.testing.laws import broken_laws, small_model


def magnitudes(model: nn.Module, names: list[str], batches: list[Any]) -> dict[str, list[float]]:
    """Mean absolute output of every row of linear maps, over the tokens of some batches, made to sum to 1."""
    found = {}
    for name in names:
        said: list[Tensor] = []
        handle = model.get_submodule(name).register_forward_hook(
            lambda _, args, out, said=said: said.append(out.detach())
        )
        for each in batches:
            with torch.no_grad():
                model(**each)
        handle.remove()
        tokens = [
            out[row, place]
            for out, each in zip(said, batches, strict=True)
            for row in range(out.shape[0])
            for place in range(out.shape[1])
            if each["attention_mask"][row, place]
        ]
        means = torch.stack(tokens).double().abs().mean(dim=0)
        found[name] = (means / means.sum()).tolist()
    return found


def loudest(values: list[float], count: int) -> set[int]:
    return set(sorted(range(len(values)), key=lambda row: (-values[row], row))[:count])


@pytest.mark.parametrize("accumulate", [1, 3])
def test_it_is_the_published_rule_written_out(accumulate: int) -> None:
    ours, twin = Course(Migu(), accumulate=accumulate).begin(), Course(accumulate=accumulate).begin()
    names = [name for name, tensor in twin.tensors.items() if ".layers." in name and tensor.ndim == 2]
    for step in range(3):
        ours.run(step, step + 1)
        parts = [batch(100 * step + part) for part in range(accumulate)]
        said = magnitudes(twin.model, [name.removesuffix(".weight") for name in names], parts)
        before = twin.weights()
        twin.run(step, step + 1)
        held = {}
        for name in names:
            values = said[name.removesuffix(".weight")]
            trained = loudest(values, int(0.3 * len(values) + 1e-9))
            held[name] = torch.tensor([row not in trained for row in range(len(values))])
            with torch.no_grad():
                twin.tensors[name][held[name]] = before[name][held[name]]
        found = ours.held()
        assert all(torch.equal(found[name], held[name][:, None].expand_as(found[name])) for name in names)
        assert same(ours.weights(), twin.weights())


def test_the_share_is_exact_and_held_rows_keep_their_bits() -> None:
    course = Course(Migu()).begin().run(0, 2)
    before = course.weights()
    course.run(2, 3)
    changed = moved(before, course.weights())
    for name, held in course.held().items():
        rows = held.all(dim=1)
        assert torch.equal(rows, held.any(dim=1))
        assert int((~rows).sum()) == len(rows) * 3 // 10
        assert not bool(changed[name][rows].any())
        assert changed[name][~rows].float().mean() > 0.9
    free = [name for name in changed if name not in course.held()]
    assert free and all(bool(changed[name].any()) for name in free)


def test_masked_gradients_do_not_hold() -> None:
    course = Course(Migu(acts="gradient")).begin().run(0, 3)
    before = course.weights()
    course.run(3, 4)
    changed = moved(before, course.weights())
    drifted = torch.cat([changed[name][held] for name, held in course.held().items()])
    assert drifted.float().mean() > 0.9


def test_a_training_taken_up_again_ends_as_one_that_was_never_stopped() -> None:
    whole = Course(Migu()).begin().run(0, 6)
    first = Course(Migu()).begin().run(0, 3)
    second = Course(Migu()).begin(first).run(3, 6)
    assert same(whole.weights(), second.weights())
    assert same(whole.held(), second.held())


def test_padding_says_nothing() -> None:
    def wider(seed: int) -> Any:
        return {
            key: nn.functional.pad(value, (0, 4), value=-100 if key == "labels" else 0)
            for key, value in batch(seed).items()
        }

    one, other = Course(Migu()).begin(), Course(Migu(), batches=wider).begin()
    assert same(one.run(0, 1).held(), other.run(0, 1).held())


def test_passes_without_gradients_are_not_listened_to() -> None:
    course, plain = Course(Migu()).begin(), Course(Migu()).begin()
    with torch.no_grad():
        course.trained(**batch(77))
    assert same(course.run(0, 1).held(), plain.run(0, 1).held())


def test_recomputing_activations_changes_no_choice() -> None:
    course, plain = Course(Migu()), Course(Migu()).begin()
    course.model.activation_checkpointing_enable()
    course.begin()
    assert same(course.run(0, 2).held(), plain.run(0, 2).held())


def test_of_lora_rows_of_b_are_chosen_by_what_the_layer_says_and_a_is_free() -> None:
    course = Course(Migu(on="lora(r=4)")).begin()
    names = [name for name in course.tensors if ".lora_B." in name]
    layers = {name: name.partition(".lora_B.")[0] for name in names}
    said = magnitudes(course.trained, list(layers.values()), [batch(0)])
    before = course.weights()
    course.run(0, 1)
    changed = moved(before, course.weights())
    for name, held in course.held().items():
        if name in layers:
            values = said[layers[name]]
            trained = loudest(values, len(values) * 3 // 10)
            assert {row for row in range(len(values)) if not held[row].any()} == trained
            assert not bool(changed[name][held].any())
        else:
            assert not bool(held.any()) and ".lora_A." in name
    assert same(
        Course(Migu(on="lora(r=4)")).begin().run(0, 6).weights(),
        Course(Migu(on="lora(r=4)")).begin(Course(Migu(on="lora(r=4)")).begin().run(0, 3)).run(3, 6).weights(),
    )


def test_gpt2_keeps_outputs_in_columns() -> None:
    config = GPT2Config(vocab_size=128, n_positions=32, n_embd=24, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2)
    course = Course(Migu(), model=GPT2LMHeadModel(config)).begin()
    name = "transformer.h.0.attn.c_attn.weight"
    course.trained.eval()  # dropout would make the twin's pass another one
    values = magnitudes(course.trained, [name.removesuffix(".weight")], [batch(0)])[name.removesuffix(".weight")]
    held = course.run(0, 1).held()[name]
    assert held.shape == (24, 72)
    assert {at for at in range(72) if not held[:, at].any()} == loudest(values, 72 * 3 // 10)


def test_an_adapter_without_rows_that_speak_is_refused() -> None:
    with pytest.raises(
        HoldfastError, match=r"migu holds rows of linear maps by what they say, and none of the \d+ tensors"
    ):
        Course(Migu(on="oft(block_size=16)")).begin()
    assert not small_model()._forward_hooks


def test_a_step_without_a_forward_pass_is_told() -> None:
    course = Course(Migu()).begin()
    for tensor in course.tensors.values():
        tensor.grad = torch.zeros_like(tensor)
    with pytest.raises(NotMeasurable, match=r"no forward pass went through the 14 linear maps .* before step 1"):
        course.optimizer.step()


class Experts(nn.Module):
    """Two linear maps, of which every token goes through the first."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 10), nn.Linear(4, 10)])

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers[0](inputs).sum()


def test_a_map_that_no_token_went_through_is_held_whole() -> None:
    model = Experts()
    optimizer = torch.optim.AdamW(model.parameters())
    isolation = Migu().isolate(model, optimizer)
    model(torch.randn(3, 4, generator=torch.Generator().manual_seed(0))).backward()
    optimizer.step()
    assert isolation.mask()["layers.0.weight"].count() == 7 * 4
    assert isolation.mask()["layers.1.weight"].count() == 10 * 4


def test_outputs_that_are_not_finite_are_told() -> None:
    model = Experts()
    optimizer = torch.optim.AdamW(model.parameters())
    Migu().isolate(model, optimizer)
    model(torch.full((3, 4), float("nan"))).backward()
    with pytest.raises(NotMeasurable, match=r"units of 'layers.0.weight' cannot be ordered"):
        optimizer.step()


def test_detaching_takes_its_hooks_off() -> None:
    model = small_model()
    isolation = Migu().isolate(model, torch.optim.AdamW(model.parameters()))
    assert any(module._forward_hooks for module in model.modules())
    isolation.detach()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_the_rule_is_asked_before_every_step() -> None:
    rule = ByOutput(0.3)
    assert rule.early and all(rule.schedule.due(step) for step in range(5))


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"ratio": 1.0}, "migu: ratio=1.0 must be a share from 0 to below 1: 0.01 is one percent"),
        ({"acts": "loss"}, "migu: acts='loss' must be one of update, gradient"),
        ({"on": "lorra"}, "migu: on: "),
    ],
)
def test_options_out_of_range_are_told(options: dict[str, Any], fault: str) -> None:
    assert any(found.startswith(fault) for found in Migu(**options).faults())
    with pytest.raises(RecipeError):
        Migu(**options).attach(small_model())


def test_it_is_installed_and_keeps_the_laws_on_lora() -> None:
    assert method_named("migu(ratio=0.2)") == Migu(ratio=0.2)
    assert broken_laws(Migu(on="lora(r=4)")) == []
