"""SSU holds the columns that source examples use most, chosen once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from loops import Course, batch, moved, same
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from holdfast.core.errors import BadData, HoldfastError, NotMeasurable, RecipeError
from holdfast.methods.on_top import method_named
from holdfast.methods.ssu import Ssu
from holdfast.testing.laws import broken_laws, small_model
from holdfast.weights.contracts import Sourced
from holdfast.weights.material import Batch, Material

SOURCE = [batch(900 + turn) for turn in range(3)]
MATERIAL = Material(source=SOURCE)


def scores(model: nn.Module, name: str, batches: list[Batch], output_dim: int = 0) -> np.ndarray[Any, Any]:
    """Wanda's score of every column, in float64, token by token and scalar by scalar."""
    read: list[Tensor] = []
    module = model.get_submodule(name)
    handle = module.register_forward_pre_hook(lambda _, args: read.append(args[0].detach()))
    training = model.training
    model.eval()
    with torch.no_grad():
        for each in batches:
            model(**each)
    model.train(training)
    handle.remove()
    squares = np.zeros(read[0].shape[-1])
    for inputs, each in zip(read, batches, strict=True):
        for row in range(inputs.shape[0]):
            for place in range(inputs.shape[1]):
                if each["attention_mask"][row, place]:
                    squares += inputs[row, place].double().numpy() ** 2
    weight = module.weight.detach().double().numpy()
    weight = weight if output_dim == 0 else weight.T
    return np.array(
        [sum(abs(weight[i, j]) for i in range(len(weight))) * squares[j] ** 0.5 for j in range(len(squares))]
    )


def best(values: np.ndarray[Any, Any], count: int) -> set[int]:
    return set(sorted(range(len(values)), key=lambda at: (-values[at], at))[:count])


def columns(held: Tensor) -> set[int]:
    """The columns that are held; each is so wholly or not at all."""
    assert torch.equal(held.any(dim=0), held.all(dim=0))
    return {at for at in range(held.shape[1]) if held[:, at].any()}


def test_it_is_the_published_score_written_out() -> None:
    course = Course(Ssu(), material=MATERIAL).begin()
    names = [name for name, tensor in course.tensors.items() if ".layers." in name and tensor.ndim == 2]
    wanted = {name: scores(course.trained, name.removesuffix(".weight"), SOURCE) for name in names}
    before = course.weights()
    held = course.run(0, 3).held()
    changed = moved(before, course.weights())
    for name in names:
        assert columns(held[name]) == best(wanted[name], len(wanted[name]) // 2)
        assert not bool(changed[name][held[name]].any())
        assert changed[name][~held[name]].float().mean() > 0.9
    assert not any(bool(held[name].any()) for name in held if name not in names)
    assert all(bool(changed[name].any()) for name in changed if name not in names)
    # The same by hand: plain training that puts the columns back.
    twin = Course().begin()
    for step in range(3):
        kept = twin.weights()
        twin.run(step, step + 1)
        with torch.no_grad():
            for name in names:
                twin.tensors[name][held[name]] = kept[name][held[name]]
    assert same(course.weights(), twin.weights())


@pytest.mark.parametrize("ratio", [0.0, 0.07, 0.5, 0.99])
def test_the_share_is_exact(ratio: float) -> None:
    course = Course(Ssu(ratio=ratio), material=MATERIAL).begin().run(0, 1)
    for held in course.held().values():
        assert len(columns(held)) == int(round(100 * ratio) * held.shape[1] // 100)


@pytest.mark.parametrize("examples", [1, 3, 4, 500])
def test_as_many_source_examples_are_read_as_asked(examples: int) -> None:
    course = Course(Ssu(examples=examples), material=MATERIAL).begin()
    name = "model.layers.1.mlp.down_proj.weight"
    left, read = examples, []
    for each in SOURCE:
        if left > 0:
            read.append({key: value[:left] for key, value in each.items()})
            left -= 2
    wanted = scores(course.trained, name.removesuffix(".weight"), read)
    assert columns(course.run(0, 1).held()[name]) == best(wanted, len(wanted) // 2)
    tokens = sum(int(each["attention_mask"].sum()) for each in read)
    note = f"columns were chosen on {min(examples, 6)} source examples with {tokens} tokens"
    assert note in course.attachment.isolation.notes()


def test_measuring_leaves_the_model_and_its_random_numbers_as_they_were() -> None:
    course = Course(Ssu(ratio=0.0), material=MATERIAL).begin()
    course.trained.model.layers[0].eval()
    modes = [module.training for module in course.trained.modules()]
    state = torch.get_rng_state()
    assert same(course.run(0, 3).weights(), Course().begin().run(0, 3).weights())
    assert torch.equal(state, torch.get_rng_state())
    assert [module.training for module in course.trained.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in course.trained.modules())


def test_padding_counts_for_nothing() -> None:
    wider = [
        {key: nn.functional.pad(value, (0, 5), value=-100 if key == "labels" else 0) for key, value in each.items()}
        for each in SOURCE
    ]
    one = Course(Ssu(), material=MATERIAL).begin().run(0, 1)
    other = Course(Ssu(), material=Material(source=wider)).begin().run(0, 1)
    assert same(one.held(), other.held())


def test_masked_gradients_do_not_hold() -> None:
    course = Course(Ssu(acts="gradient"), material=MATERIAL).begin().run(0, 1)
    before = course.weights()
    changed = moved(before, course.run(1, 3).weights())
    drifted = torch.cat([changed[name][held] for name, held in course.held().items()])
    assert drifted.float().mean() > 0.9


def test_a_training_taken_up_again_ends_as_one_that_was_never_stopped_and_reads_nothing_again() -> None:
    whole = Course(Ssu(), material=MATERIAL).begin().run(0, 6)
    first = Course(Ssu(), material=MATERIAL).begin().run(0, 3)

    class Once(list[Batch]):
        """Examples of which no more than the first may be looked at, to see that there are any."""

        def __iter__(self) -> Any:
            yield SOURCE[0]
            raise AssertionError("source examples were read again")

    second = Course(Ssu(), material=Material(source=Once())).begin(first).run(3, 6)
    assert same(whole.weights(), second.weights())
    assert same(whole.held(), second.held())
    assert whole.attachment.isolation.notes() == second.attachment.isolation.notes()


def test_of_lora_columns_of_a_are_held_and_b_is_free() -> None:
    method = Ssu(on="lora(r=4)")
    course = Course(method, material=MATERIAL).begin()
    names = [name for name in course.tensors if ".lora_A." in name]
    wanted = {name: scores(course.trained, name.removesuffix(".weight"), SOURCE) for name in names}
    before = course.weights()
    held = course.run(0, 3).held()
    changed = moved(before, course.weights())
    for name in held:
        if name in wanted:
            assert columns(held[name]) == best(wanted[name], len(wanted[name]) // 2)
            assert not bool(changed[name][held[name]].any())
        else:
            assert not bool(held[name].any())
    second = Course(method, material=MATERIAL).begin(course).run(3, 5)
    assert same(course.run(3, 5).weights(), second.weights())


def test_gpt2_keeps_inputs_in_rows() -> None:
    config = GPT2Config(vocab_size=128, n_positions=32, n_embd=24, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=2)
    course = Course(Ssu(), model=GPT2LMHeadModel(config), material=MATERIAL).begin()
    name = "transformer.h.0.mlp.c_proj.weight"
    wanted = scores(course.trained, name.removesuffix(".weight"), SOURCE, output_dim=1)
    held = course.run(0, 1).held()[name]
    assert held.shape == (96, 24)
    assert columns(held.T) == best(wanted, 48)


def test_without_source_it_says_what_to_give() -> None:
    assert isinstance(Ssu(), Sourced) and Ssu().needs_source
    with pytest.raises(BadData, match=r"ssu draws on examples of what the model already knows, and there are none"):
        Course(Ssu()).begin().run(0, 1)


def test_an_adapter_without_linear_maps_is_refused() -> None:
    with pytest.raises(HoldfastError, match=r"ssu holds columns of linear maps, and none of the \d+ tensors"):
        Course(Ssu(on="ia3"), material=MATERIAL).begin().run(0, 1)


def test_a_model_without_any_weight_is_told() -> None:
    course = Course(Ssu(), material=MATERIAL)
    with torch.no_grad():
        for name, tensor in course.tensors.items():
            tensor.mul_(0 if ".layers." in name else 1)
    with pytest.raises(
        NotMeasurable, match=r"no column of the 14 matrices that ssu could hold has a score on 6 source"
    ):
        course.begin().run(0, 1)


def test_it_works_in_a_loop_of_ones_own() -> None:
    model = small_model()
    optimizer = torch.optim.AdamW(model.parameters())
    isolation = Ssu().isolate(model, optimizer, material=MATERIAL)
    model(**batch(0)).loss.backward()
    optimizer.step()
    assert isolation.mask().share_frac == 0.5


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"ratio": 1.0}, "ssu: ratio=1.0 must be a share from 0 to below 1: 0.01 is one percent"),
        ({"examples": 0}, "ssu: examples=0 must be above 0"),
        ({"examples": 2.5}, "ssu: examples=2.5 must be a whole number"),
        ({"on": "lorra"}, "ssu: on: "),
    ],
)
def test_options_out_of_range_are_told(options: dict[str, Any], fault: str) -> None:
    assert any(found.startswith(fault) for found in Ssu(**options).faults())
    with pytest.raises(RecipeError):
        Ssu(**options).attach(small_model())


def test_it_is_installed_and_keeps_the_laws_on_lora() -> None:
    assert method_named("ssu(ratio=0.25)") == Ssu(ratio=0.25)
    assert broken_laws(Ssu(on="lora(r=4)")) == []
