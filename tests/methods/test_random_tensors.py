"""Random tensors are the control of TRACE: at as many parameters, or with as many tensors in every layer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from chosen import names, prepared, run, stage, tensors_of, tiny, trace

from holdfast.core.errors import RecipeError
from holdfast.core.sites import block_of
from holdfast.methods.on_top import method_named
from holdfast.methods.random_tensors import RandomTensors
from holdfast.testing.laws import broken_laws

LIKE = "trace_probe(ratio=0.3, probe_steps=2, probe_learning_rate=0.001, fisher_n=4)"


def layers(plan: Any) -> Counter[int | None]:
    return Counter(block_of(name)[0] for name in names(plan))


def test_the_budget_of_parameters_is_not_passed_and_nearly_met() -> None:
    eligible = sum(tensor.numel() for name, tensor in tiny().named_parameters() if "proj" in name)
    counts = [prepared(RandomTensors(ratio=0.4, seed=seed), tiny()).plan().trained_params for seed in range(20)]
    assert max(counts) <= 0.4 * eligible
    assert min(counts) >= 0.4 * eligible - 512  # the smallest matrix has as many


def test_every_tensor_comes_up_about_as_often_as_any_other() -> None:
    drawn: Counter[str] = Counter()
    model = tiny()
    for seed in range(200):
        attachment = prepared(RandomTensors(ratio=0.5, budget="tensors", seed=seed), model)
        drawn.update(names(attachment.plan()))
        attachment.detach()
    assert len(drawn) == 14 and all(70 < count < 130 for count in drawn.values())


def test_like_trace_it_trains_as_many_parameters_as_whole_tensors_come_to() -> None:
    wanted = prepared(method_named(LIKE), tiny()).plan()
    attachment = prepared(RandomTensors(like=LIKE, seed=1), tiny())
    plan = attachment.plan()
    assert 0 <= wanted.trained_params - plan.trained_params < 512
    assert names(plan) != names(wanted) and plan.probe_identity == wanted.probe_identity
    assert {fact.quantity for fact in attachment.facts()} > {"probe_steps", "core_params"}
    assert plan.start_identity == wanted.start_identity
    assert (plan.settings["ratio"], plan.settings["budget"]) == (0.3, "tensors")


def test_with_profile_as_many_tensors_are_drawn_in_every_layer() -> None:
    wanted = prepared(method_named(LIKE), tiny()).plan()
    plans = [prepared(RandomTensors(like=LIKE, profile=True, seed=seed), tiny()).plan() for seed in range(4)]
    assert all(layers(plan) == layers(wanted) for plan in plans)
    assert len({tuple(names(plan)) for plan in plans}) > 1


def test_only_what_was_drawn_moves_and_the_seed_of_the_training_draws() -> None:
    cores = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        model = tiny()
        torch.manual_seed(seed)
        attachment = prepared(RandomTensors(ratio=0.5), model)
        before = tensors_of(model)
        run(attachment)
        cores.append(set(names(attachment.plan())))
        assert {n for n, t in model.named_parameters() if not torch.equal(t, before[n])} == cores[-1]
    assert cores[0] == cores[1] != cores[2]


def test_stages_draw_anew_and_with_exclude_apart() -> None:
    model, past, cores = tiny(), [], []
    for seed in range(3):
        left, plan = stage(RandomTensors(ratio=0.3, budget="tensors", overlap="exclude", seed=1), model, seed, past)
        past.append(left)
        cores.append(set(names(plan)))
    assert [len(core) for core in cores] == [4, 4, 4] and len(set.union(*cores)) == 12
    with pytest.raises(RecipeError, match=r"random_tensors: eligible units have run out: earlier tasks own 12 of 14"):
        stage(RandomTensors(ratio=0.3, budget="tensors", overlap="exclude", seed=1), model, 3, past)


def test_like_trace_it_says_so_when_nothing_that_is_free_is_small_enough() -> None:
    model = tiny()
    left, _ = stage(RandomTensors(like=LIKE.replace("0.3", "1.0"), seed=1), model, 0)
    with pytest.raises(
        RecipeError, match=r"random_tensors: no tensor that nobody owns is as small as the [\d,]+ param"
    ):
        stage(RandomTensors(like=LIKE, overlap="exclude", seed=1), model, 1, [left])


def test_stages_of_one_seed_do_not_draw_the_same() -> None:
    model = tiny()
    left, plan = stage(RandomTensors(ratio=0.5, seed=1), model, 0)
    _, second = stage(RandomTensors(ratio=0.5, seed=1), model, 1, [left])
    assert names(plan) != names(second)


def test_a_sequence_like_trace_goes_on_from_its_own_ledger() -> None:
    model = tiny()
    left, plan = stage(RandomTensors(like=LIKE, seed=1), model, 0)
    _, second = stage(RandomTensors(like=LIKE, seed=1), model, 1, [left])
    shared = {tensor.name for tensor in second.tensors if tensor.owners}
    assert shared == set(names(plan))


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"budget": "rows"}, "budget='rows' must be one of tensors, params"),
        ({"ratio": 1.1}, "ratio=1.1 must be a share above 0 and at most 1"),
        ({"seed": 0.5}, "seed=0.5 must be a whole number of 0 or more"),
        ({"damp": 2}, "damp=2 must be a number from 0 to 1"),
        ({"profile": True}, "profile=True draws in the layers that another method chooses; give like="),
        ({"like": "lora(r=8)"}, "like='lora(r=8)' must be a trace_probe that chooses whole tensors"),
        (
            {"like": "trace_probe(granularity='row')"},
            "like=\"trace_probe(granularity='row')\" must be a trace_probe that",
        ),
        ({"like": "lorax"}, "like: unknown method 'lorax'"),
        ({"like": LIKE, "ratio": 0.2}, "ratio plays no part beside like, which brings its own; leave it out"),
    ],
)
def test_options_out_of_range_are_told(options: Any, fault: str) -> None:
    assert any(found.startswith(f"random_tensors: {fault}") for found in RandomTensors(**options).faults())
    with pytest.raises(RecipeError):
        RandomTensors(**options).attach(tiny())


def test_what_it_trains_at_most_is_known_before_the_draw() -> None:
    for options in ({}, {"budget": "tensors"}, {"like": LIKE}, {"like": LIKE, "profile": True}):
        method = RandomTensors(**options)  # type: ignore[arg-type]
        trained = prepared(method, tiny()).trainable().values()
        assert sum(tensor.numel() for tensor in trained) <= method.parameters(tiny())
    one = "trace_probe(budget='params', ratio=0.3)"
    assert RandomTensors(like=one, profile=True).parameters(tiny()) > trace(budget="params", ratio=0.3).parameters(
        tiny()
    )


def test_it_is_installed_and_keeps_the_laws() -> None:
    assert method_named("random_tensors(ratio=0.2)") == RandomTensors(ratio=0.2)
    assert broken_laws(RandomTensors(ratio=1.0)) == []
