"""DPI probes its tasks, trains them in stages, and holds what earlier stages have as their core."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch
from loops import Course, moved, same
from staged import ROWS, WORDS, Staged, stream, tasks

from holdfast.core.errors import DamagedCheckpoint, HoldfastError, RecipeError
from holdfast.methods.cpi_ft import CpiFt
from holdfast.methods.dpi import Dpi
from holdfast.methods.epi import Epi
from holdfast.methods.on_top import method_named
from holdfast.methods.staging.probe import Probe, core
from holdfast.testing.laws import broken_laws, small_model
from holdfast.weights import contracts

APART: dict[str, Any] = {"ratio": 0.05, "threshold": 1.0, "probe_steps": 3, "probe_learning_rate": 1e-3}
"""Every task is a stage of its own: no two cores are the same."""


def cores_by_hand(ratio: float, steps: int, rate: float) -> dict[str, dict[str, torch.Tensor]]:
    """The core of every task: a model of its own for each, trained, and all changes sorted."""
    found = {}
    for task in WORDS:
        model, fresh = small_model(), dict(small_model().named_parameters())
        tensors = dict(model.named_parameters())
        Probe(steps, rate).train(model, tensors, task, stream(task))
        flat = torch.cat([(tensors[name] - fresh[name]).detach().abs().flatten() for name in fresh])
        chosen = torch.zeros(len(flat), dtype=torch.bool)
        chosen[flat.argsort(descending=True, stable=True)[: int(ratio * len(flat))]] = True
        parts = chosen.split([tensor.numel() for tensor in fresh.values()])
        found[task] = {name: part.view_as(fresh[name]) for name, part in zip(fresh, parts, strict=True)}
    return found


def test_it_is_the_method_written_out() -> None:
    course = Staged(Dpi(**APART), steps=9).begin()
    wanted = cores_by_hand(0.05, 3, 1e-3)
    stages = [course.order[0], course.order[3], course.order[6]]
    assert sorted(stages) == sorted(WORDS)
    assert course.order == [task for task in stages for _ in range(3)]
    twin = Course(batches=course.batches).begin()
    held = {name: torch.zeros_like(tensor, dtype=torch.bool) for name, tensor in twin.tensors.items()}
    for step in range(9):
        if step in (3, 6):
            held = {name: held[name] | wanted[stages[step // 3 - 1]][name] for name in held}
        before = twin.weights()
        twin.run(step, step + 1)
        with torch.no_grad():
            for name, tensor in twin.tensors.items():
                tensor[held[name]] = before[name][held[name]]
        course.run(step, step + 1)
        if step != 2 and step != 5:  # after the last step of a stage the next one's are held already
            assert same(course.held(), held)
        assert same(course.weights(), twin.weights())


def test_what_is_held_keeps_its_bits_and_a_core_is_the_exact_share() -> None:
    course = Staged(Dpi(**APART), steps=9).begin().run(0, 3)
    size = sum(tensor.numel() for tensor in course.tensors.values())
    held, before = course.held(), course.weights()
    assert sum(int(own.sum()) for own in held.values()) == int(0.05 * size)
    changed = moved(before, course.run(3, 6).weights())
    assert not any(bool(changed[name][own].any()) for name, own in held.items())
    assert torch.cat([changed[name][~own] for name, own in held.items()]).float().mean() > 0.9


def test_masked_gradients_do_not_hold() -> None:
    course = Staged(Dpi(**APART, acts="gradient"), steps=9).begin().run(0, 3)
    held, before = course.held(), course.weights()
    changed = moved(before, course.run(3, 5).weights())
    assert torch.cat([changed[name][own] for name, own in held.items()]).float().mean() > 0.9


@pytest.mark.parametrize("on", ["full", "lora(r=4)", "lora(r=4, dropout=0.2)"])
def test_probing_leaves_everything_as_it_was(on: str) -> None:
    torch.manual_seed(0)
    attachment = Dpi(**APART, on=on).attach(small_model().eval())
    before = {name: tensor.detach().clone() for name, tensor in attachment.model.state_dict().items()}
    modes = [module.training for module in attachment.model.modules()]
    attachment.prepare(tasks(*WORDS))
    after = attachment.model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert [module.training for module in attachment.model.modules()] == modes
    assert all(tensor.grad is None for tensor in attachment.model.parameters())


def test_a_probe_that_fails_leaves_everything_as_it_was() -> None:
    attachment = Dpi(**APART).attach(small_model())
    before = {name: tensor.detach().clone() for name, tensor in attachment.trainable().items()}
    broken = stream("one")
    broken[1] = {"input_ids": torch.full((1, 3), 10**6), "labels": torch.zeros(1, 3, dtype=torch.long)}
    with pytest.raises(IndexError):
        attachment.prepare(contracts.Material({"one": broken, "other": stream("other")}))
    assert same(before, {name: tensor.detach() for name, tensor in attachment.trainable().items()})


@pytest.mark.parametrize("on", ["full", "lora(r=4)"])
def test_a_training_taken_up_again_in_its_second_stage_ends_as_one_that_was_never_stopped(on: str) -> None:
    method = Dpi(**APART, on=on)
    whole = Staged(method, steps=9).begin().run(0, 9)
    first = Staged(method, steps=9).begin().run(0, 5)
    second = Staged(method, steps=9).begin(first)
    assert same(first.held(), second.held())
    second.run(5, 9)
    assert same(whole.weights(), second.weights())
    assert same(whole.held(), second.held())
    assert [r.step for r in second.attachment.course().refreshes] == [3, 6]


def test_a_state_goes_into_a_file_which_holds_no_tensor_twice() -> None:
    # Of many held scalars the guard keeps the very bits that it is given.
    course = Staged(Dpi(**{**APART, "ratio": 0.7}), steps=9).begin().run(0, 4)
    places = [tensor.untyped_storage().data_ptr() for tensor in course.attachment.state().values() if tensor.numel()]
    assert len(places) == len(set(places))


def test_a_training_is_not_taken_up_with_other_stages() -> None:
    first = Staged(Dpi(**APART), steps=9).begin().run(0, 4)
    seed = next(seed for seed in range(9) if Staged(Dpi(**APART), steps=9, order_seed=seed).order != first.order)
    with pytest.raises(DamagedCheckpoint, match="resumed with other stages"):
        Staged(Dpi(**APART), steps=9, order_seed=seed).begin(first)


def test_tasks_whose_cores_overlap_are_trained_together() -> None:
    method = Dpi(ratio=0.05, probe_steps=3, probe_learning_rate=1e-3)
    attachment = method.attach(small_model())
    attachment.prepare(tasks(*WORDS))
    found = cores_by_hand(0.05, 3, 1e-3)
    flat = {task: torch.cat([own.flatten() for own in found[task].values()]) for task in WORDS}
    overlap = {
        (one, other): float((flat[one] & flat[other]).sum() / (flat[one] | flat[other]).sum())
        for one, other in combinations(WORDS, 2)
    }
    most = max(overlap, key=overlap.__getitem__)
    between = sorted(overlap.values())[-2:]
    course = Staged(Dpi(**{**APART, "threshold": sum(between) / 2}), steps=8)
    halves = [set(course.order[:4]), set(course.order[4:])]
    assert set(most) in halves and set(WORDS) - set(most) in halves


def test_with_all_tasks_in_one_group_nothing_is_held_and_it_says_so() -> None:
    course = Staged(Dpi(**{**APART, "threshold": 0.0}), steps=4).begin().run(0, 4)
    assert course.attachment.isolation.mask().count() == 0
    assert any("there was no earlier stage, and nothing was held" in note for note in course.attachment.course().notes)
    assert same(course.weights(), Course(steps=4, batches=course.batches).begin().run(0, 4).weights())


def test_the_order_of_stages_is_drawn_by_the_seed() -> None:
    attachment = Dpi(**APART).attach(small_model())
    attachment.prepare(tasks(*WORDS))
    firsts = {ROWS[attachment.order(ROWS, 9, seed)[0]] for seed in range(20)}
    assert firsts == set(WORDS)
    assert isinstance(attachment, contracts.Staged) and isinstance(attachment, contracts.Isolated)


def test_it_is_made_for_several_tasks() -> None:
    attachment = Dpi().attach(small_model())
    attachment.prepare(tasks("one"))
    with pytest.raises(
        RecipeError, match=r"dpi: it is made for several tasks, .* and there is one: 'one'. Give several"
    ):
        attachment.order(["one"] * 4, 4, 0)


def test_fewer_steps_than_stages_are_told() -> None:
    with pytest.raises(HoldfastError, match=r"training in 3 stages, one for every group of tasks, .* and there are 2"):
        Staged(Dpi(**APART), steps=2)


def test_rows_in_an_order_of_ones_own_are_refused() -> None:
    course = Course(Dpi(**APART), material=tasks(*WORDS))
    with pytest.raises(HoldfastError, match=r"nobody has asked for the order of the rows: call order"):
        course.begin()


def test_an_order_is_not_to_be_had_in_a_callback() -> None:
    model = small_model()
    with pytest.raises(HoldfastError, match=r"dpi must see its tasks and order their rows, .* attachment.order\(tasks"):
        Dpi().isolate(model, torch.optim.AdamW(model.parameters()), steps=4)


def test_nothing_goes_on_top_of_it() -> None:
    for name in ("dpi", "cpi_ft"):
        (fault,) = Epi(on=name).faults()
        assert fault == f"epi: nothing goes on top of {name}; put it outermost, as in {name}(on='epi')"


def test_what_probing_costs_is_a_fact() -> None:
    course = Staged(Dpi(**APART), steps=9).begin().run(0, 9)
    facts = {record.quantity: record.value for record in course.attachment.facts()}
    assert facts["probe_steps"] == 9 and facts["stages"] == 3 and facts["isolation_choices"] == 2


def test_probes_train_at_the_centre_of_the_inner_method_unless_told() -> None:
    assert Dpi(on="lora(r=4)").plan().probe == Probe(20, method_named("lora").learning_rate)
    assert Dpi(probe_learning_rate=1e-3).plan().probe.learning_rate == 1e-3


def test_cores_lie_where_is_eligible() -> None:
    model = small_model()
    attachment = Dpi(**APART, eligible="matrices").attach(model)
    attachment.prepare(tasks(*WORDS))
    chosen = attachment.eligible()
    assert all(".layers." in name for name in chosen)
    start = {name: tensor.detach() for name, tensor in small_model().named_parameters()}
    assert core(chosen, start, 0.05).size == sum(tensor.numel() for tensor in chosen.values())


@pytest.mark.parametrize("kind", [Dpi, CpiFt])
@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"ratio": 1.0}, "ratio=1.0 must be a share from 0 to below 1: 0.01 is one percent"),
        ({"threshold": 1.5}, "threshold=1.5 must be an overlap from 0 to 1"),
        ({"threshold": -0.1}, "threshold=-0.1 must be at least 0"),
        ({"probe_steps": 0}, "probe_steps=0 must be above 0"),
        ({"probe_learning_rate": 0.0}, "probe_learning_rate=0.0 must be a learning rate above 0"),
        ({"probe_learning_rate": "high"}, "probe_learning_rate='high' must be a learning rate above 0"),
        ({"eligible": "none"}, "eligible='none' must be one of matrices, all"),
    ],
)
def test_options_out_of_range_are_told(kind: type[Dpi], options: dict[str, Any], fault: str) -> None:
    assert f"{kind.name}: {fault}" in kind(**options).faults()
    with pytest.raises(RecipeError):
        kind(**options).attach(small_model())


def test_it_is_installed_and_keeps_the_laws_on_lora() -> None:
    assert method_named("dpi(ratio=0.02)") == Dpi(ratio=0.02)
    assert broken_laws(Dpi(on="lora(r=4)")) == []
