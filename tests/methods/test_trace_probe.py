"""TRACE on a model: probed, rewound, and only what the task needs is trained; in a sequence too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from chosen import QUICK, names, prepared, run, stage, stream, tensors_of, tiny, trace
from loops import same
from small import bits, same_bits
from torch import Tensor, nn

from holdfast.core.errors import BadData, HoldfastError, NotMeasurable, RecipeError, TrainingDiverged
from holdfast.core.sites import block_of
from holdfast.methods.on_top import method_named
from holdfast.methods.probing.signals import fisher, score_deltas
from holdfast.methods.trace_probe import TraceProbe, trace_probe_plan
from holdfast.models.identity import identity_of
from holdfast.testing.laws import broken_laws
from holdfast.weights.contracts import Following, Planned
from holdfast.weights.material import Material

COUNT = "the parameter count is the one it states"


def only_layer_1_can_learn(model: nn.Module) -> nn.Module:
    """Whatever layer 0 writes is thrown away."""
    for part in ("self_attn.o_proj", "mlp.down_proj"):
        model.get_submodule(f"model.layers.0.{part}").register_forward_hook(lambda *seen: 0 * seen[-1])
    return model


@pytest.mark.parametrize("granularity", ["tensor", "row"])
@pytest.mark.parametrize("budget", ["tensors", "params"])
def test_a_planted_task_is_ranked_first(granularity: Any, budget: Any) -> None:
    plan = trace_probe_plan(
        only_layer_1_can_learn(tiny()), stream(0), ratio=0.5, granularity=granularity, budget=budget, **QUICK
    )
    helpful = [tensor for tensor in plan.tensors if block_of(tensor.name)[0] == 1]
    assert all(tensor.zero_frac == 1 and tensor.score == 0 for tensor in plan.tensors if tensor not in helpful)
    if granularity == "tensor":
        assert {tensor.rank for tensor in helpful} == set(range(1, len(helpful) + 1))
        assert {block_of(name)[0] for name in names(plan)} == {1}


def test_the_list_is_that_of_the_formulae_worked_by_hand() -> None:
    options = {**QUICK, "eligible": "all", "fisher": "batch", "fisher_n": 300, "seed": 3}
    plan = trace_probe_plan(tiny(), stream(0), **options)
    model, start = tiny(), tensors_of(tiny())
    TraceProbe(**options).warm_start().train(model, "task", stream(0))
    length, information = {}, {}
    for name, tensor in model.named_parameters():
        delta = (tensor.detach() - start[name]).double().numpy()
        length[name], information[name] = np.linalg.norm(delta) / np.sqrt(delta.size), 0.0
    for batch in stream(0):
        model.zero_grad()
        model(**batch).loss.backward()
        for name, tensor in model.named_parameters():
            information[name] += float(tensor.grad.double().square().mean()) / 2

    def scaled(values: dict[str, float]) -> dict[str, float]:
        low, high = min(values.values()), max(values.values())
        return {name: (value - low) / (high - low) for name, value in values.items()}

    one, other = scaled(length), scaled(information)
    score = {name: 0.5 * one[name] + 0.5 * other[name] for name in length}
    order = sorted(score, key=lambda name: -score[name])
    assert set(names(plan)) == set(order[: int(0.10 * len(order))])
    assert {tensor.name: tensor.rank for tensor in plan.tensors} == {n: at for at, n in enumerate(order, start=1)}
    for tensor in plan.tensors:
        assert tensor.score == pytest.approx(score[tensor.name], rel=1e-4, abs=1e-9)
        assert tensor.signals == pytest.approx(
            {"l2_rms": length[tensor.name], "fisher_batch": information[tensor.name]}, rel=1e-4
        )


def test_the_free_functions_give_what_the_plan_has_for_a_checkpoint_of_ones_own() -> None:
    plan = trace_probe_plan(tiny(), stream(0), seed=1, **QUICK)
    model, start = tiny(), tensors_of(tiny())
    TraceProbe(seed=1, **QUICK).warm_start().train(model, "task", stream(0))
    lengths, information = score_deltas(start, tensors_of(model)), fisher(model, stream(0), sequences=4)
    for tensor in plan.tensors:
        assert tensor.signals["l2_rms"] == pytest.approx(float(lengths[tensor.name].length))
        assert tensor.signals["fisher_sequence"] == pytest.approx(float(information[tensor.name]))
        assert tensor.zero_frac == lengths[tensor.name].zero_frac


@pytest.mark.parametrize("options", [{}, {"granularity": "row"}, {"granularity": "scalar"}, {"eligible": "all"}])
def test_what_is_not_chosen_stays_bit_for_bit_under_adamw_with_decay(options: Any) -> None:
    model = tiny()
    attachment = prepared(trace(ratio=0.2, **options), model)
    before, plan = tensors_of(model), attachment.plan()
    optimizer = run(attachment)
    held = {tensor.name: tensor for tensor in plan.chosen}
    for name, tensor in model.named_parameters():
        moved = tensor.detach() != before[name]
        wanted = held[name].trained_params if name in held else 0
        assert int(moved.sum()) <= wanted and (not wanted or moved.any())
        if name in held:
            flags = attachment.choice.flags[name]
            spread = flags.reshape(*flags.shape, *(1,) * (tensor.ndim - flags.ndim)).expand(tensor.shape)
            assert not (moved & ~spread).any()
    assert set(attachment.trainable()) == set(names(plan))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(plan.chosen)
    frozen = [tensor for name, tensor in model.named_parameters() if name not in held]
    assert all(tensor.grad is None and not tensor.requires_grad for tensor in frozen)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"strategy": "cosine"}, {"keep_probe": True}, {"granularity": "scalar"}])
def test_the_probe_is_rewound_bit_for_bit(dtype: torch.dtype, options: Any) -> None:
    model = tiny(dtype=dtype)
    model.model.layers[0].requires_grad_(False)
    before = bits(model)
    plan = trace_probe_plan(model, stream(0), ratio=0.2, **{**QUICK, **options})
    assert same_bits(bits(model), before)
    assert plan.start_identity == plan.probe_identity


@pytest.mark.parametrize("where", ["probe", "fisher"])
def test_it_is_rewound_after_an_exception_too(where: str) -> None:
    model = tiny()
    before = bits(model)
    bad = {**stream(0)[0], "labels": torch.full((2, 10), -100)}  # a loss of nothing is no number
    batches = [bad] if where == "probe" else stream(0)

    def fail(*seen: Any) -> None:
        if where == "fisher" and not model.training:
            raise RuntimeError("broken while it was measured")

    model.register_forward_hook(fail)
    attachment = TraceProbe(**QUICK).attach(model)
    with pytest.raises((RuntimeError, TrainingDiverged), match=r"broken while|the loss became nan"):
        attachment.prepare(Material({"task": batches}))
    assert same_bits(bits(model), before)
    with pytest.raises((RuntimeError, TrainingDiverged), match=r"broken while|the loss became nan"):
        trace_probe_plan(model, batches, **QUICK)
    assert same_bits(bits(model), before)


def test_the_list_is_the_same_under_a_seed() -> None:
    one, other = (trace_probe_plan(tiny(), stream(0, 5), seed=4, **QUICK) for _ in range(2))
    assert one == other
    assert trace_probe_plan(tiny(), stream(0, 5), seed=5, **QUICK).tensors != one.tensors


def test_tied_embeddings_are_one_decision_and_say_so() -> None:
    plan = trace_probe_plan(tiny(tied=True), stream(0), eligible="all", ratio=1.0, **QUICK)
    found = {tensor.name: tensor.same_as for tensor in plan.tensors}
    assert found["model.embed_tokens.weight"] == ("lm_head.weight",) and "lm_head.weight" not in found
    assert plan.trained_params == plan.model_params and len(found) == plan.model_tensors


def test_a_plan_says_what_it_rests_on() -> None:
    model = tiny()
    plan = trace_probe_plan(model, stream(0), task="mine", ratio=0.2, seed=7, **QUICK)
    assert (plan.task, plan.seed, plan.start_identity) == ("mine", 7, identity_of(model))
    assert plan.settings["probe_steps"] == 2 and plan.settings["ranked_by"] == "l2_fisher"
    assert plan.settings["delta_dtype"] == "float32" and plan.settings["earlier_tasks"] == []
    assert len(plan.chosen) == 2 and len(plan.tensors) == 14
    assert plan.score_gap is not None and plan.score_gap > 0
    assert method_named(plan.method) == TraceProbe(ratio=0.2, seed=7, **QUICK)


def test_facts_tell_what_was_chosen_and_what_it_took() -> None:
    attachment = prepared(trace(), tiny())
    assert isinstance(attachment, Planned) and isinstance(attachment, Following)
    run(attachment)
    facts = {fact.quantity: fact.value for fact in attachment.facts()}
    plan = attachment.plan()
    assert facts["core_params"] == plan.trained_params and facts["core_tensors"] == 1
    assert facts["core_params_frac_of_all"] == pytest.approx(plan.trained_params / plan.model_params)
    assert facts["core_tensors_frac_of_eligible"] == pytest.approx(1 / 14)
    assert facts["probe_steps"] == 2 and facts["probe_tokens"] == 30 and facts["probe_s"] > 0


@pytest.mark.parametrize("granularity", ["tensor", "row"])
def test_a_resumed_training_takes_the_saved_choice_and_ends_as_one_that_was_never_stopped(granularity: Any) -> None:
    method = trace(ratio=0.2, granularity=granularity, keep_probe=True)
    whole = prepared(method, tiny())
    run(whole, steps=4)
    first = prepared(method, tiny())
    optimizer = torch.optim.AdamW(first.trainable().values(), lr=1e-2, weight_decay=0.1)
    run(first, steps=2, optimizer=optimizer)
    saved, state = tensors_of(first.model), {name: each.clone() for name, each in first.state().items()}
    again = prepared(TraceProbe(**{**vars(method), "probe_learning_rate": 1e-1, "seed": 9}), tiny(), seed=2)
    with torch.no_grad():
        for name, tensor in again.model.named_parameters():
            tensor.copy_(saved[name])
    again.restore(state)
    assert again.plan() == first.plan()
    taken_up = torch.optim.AdamW(again.trainable().values(), lr=1e-2, weight_decay=0.1)
    taken_up.load_state_dict(optimizer.state_dict())
    run(again, steps=4, start=2, optimizer=taken_up)
    assert same(tensors_of(again.model), tensors_of(whole.model))


def test_a_kept_probe_is_where_the_core_begins_and_nothing_else() -> None:
    model, ends = tiny(), tiny()
    attachment = prepared(trace(ratio=0.2, keep_probe=True, seed=1), model)
    before = tensors_of(model)
    TraceProbe(seed=1, **QUICK).warm_start().train(ends, "task", stream(0))
    attachment.before_training(torch.optim.SGD(attachment.trainable().values(), lr=0.1), 1)
    probed, core = tensors_of(ends), set(names(attachment.plan()))
    for name, tensor in model.named_parameters():
        assert torch.equal(tensor, probed[name] if name in core else before[name])
    with torch.no_grad():
        for tensor in attachment.trainable().values():
            tensor.add_(1)
    after = tensors_of(model)
    attachment.before_training(torch.optim.SGD(attachment.trainable().values(), lr=0.1), 1)
    assert same(tensors_of(model), after)


@pytest.mark.parametrize("granularity", ["tensor", "row", "scalar"])
def test_with_exclude_cores_are_disjoint_and_every_budget_is_full(granularity: Any) -> None:
    method, model, past, cores = trace(ratio=0.25, overlap="exclude", granularity=granularity), tiny(), [], []
    for seed in range(3):
        left, plan = stage(method, model, seed, past)
        past.append(left)
        cores.append(plan)
        assert {owner for tensor in plan.tensors for owner in tensor.owners} <= {f"task-{at}" for at in range(seed)}
    if granularity == "tensor":
        assert [len(plan.chosen) for plan in cores] == [3, 3, 3]
        assert len({name for plan in cores for name in names(plan)}) == 9
    kept = [left.keepsake() for left in past]
    for name in kept[0]:
        joint = kept[0][name]
        for other in kept[1:]:
            assert not (joint & other[name]).any()
            joint = joint | other[name]


def test_exclude_says_so_when_tensors_run_out() -> None:
    method, model = trace(ratio=0.6, overlap="exclude"), tiny()
    left, _ = stage(method, model, 0)
    with pytest.raises(RecipeError, match=r"eligible units have run out: earlier tasks own 8 of 14, and the budget"):
        stage(method, model, 1, [left])


def test_allow_trains_shared_tensors_again_and_names_their_owners() -> None:
    method, model = trace(ratio=1.0), tiny()
    left, _ = stage(method, model, 0)
    _, plan = stage(method, model, 1, [left])
    assert all(tensor.owners == ("task-0",) for tensor in plan.chosen) and len(plan.chosen) == 14


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0])
def test_damp_is_a_lower_rate_for_each_owner(factor: float) -> None:
    model = tiny()
    first, plan = stage(trace(ratio=0.2), model, 0)
    owned = set(names(plan))
    twin = tiny()
    twin.load_state_dict(model.state_dict())
    attachment = prepared(
        trace(ratio=1.0, overlap="damp", damp=factor), model, 1, [first, replace(first, task="again")]
    )
    run(attachment, 1)
    groups = [
        {"params": [t for n, t in twin.named_parameters() if n in owned], "lr": 1e-2 * factor**2},
        {"params": [t for n, t in twin.named_parameters() if n not in owned and n in attachment.trainable()]},
    ]
    plain = prepared(trace(ratio=1.0), twin, 1)
    run(plain, 1, optimizer=torch.optim.AdamW(groups, lr=1e-2, weight_decay=0.1))
    other = tensors_of(twin)
    for name, tensor in model.named_parameters():
        assert torch.allclose(tensor, other[name], atol=2e-6), name
        assert name in owned or torch.equal(tensor, other[name]) or factor != 1


def test_the_online_cosine_is_against_earlier_tasks_and_the_first_falls_back() -> None:
    method, model = trace(ratio=0.2, strategy="cosine", seed=0), tiny()
    left, plan = stage(method, model, 0)
    assert plan.settings["ranked_by"] == "l2_fisher" and plan.score_gap is not None
    probed = {}
    for seed, weights in ((0, tiny()), (1, tiny())):
        if seed:
            weights.load_state_dict(model.state_dict())
        start = tensors_of(weights)
        method.warm_start().train(weights, "task", stream(seed))
        probed[seed] = {name: tensor - start[name] for name, tensor in tensors_of(weights).items()}
    _, second = stage(method, model, 1, [left])
    assert second.settings["ranked_by"] == "cosine" and second.settings["earlier_tasks"] == ["task-0"]
    for tensor in second.tensors:
        one, other = (probed[seed][tensor.name].double().flatten() for seed in (0, 1))
        assert tensor.signals["mean_cosine"] == pytest.approx(float(one @ other / one.norm() / other.norm()), abs=1e-5)
        assert tensor.score == -tensor.signals["mean_cosine"]
    ranked = sorted(second.tensors, key=lambda tensor: tensor.signals["mean_cosine"])
    assert set(names(second)) == {tensor.name for tensor in ranked[:2]}


def test_the_product_needs_both() -> None:
    method, model = trace(ratio=0.2, strategy="product"), tiny()
    left, _ = stage(method, model, 0)
    _, plan = stage(method, model, 1, [left])
    for tensor in plan.tensors:
        shares = tensor.scaled
        assert tensor.score == pytest.approx(shares["importance_rank"] * shares["specificity_rank"])


def test_a_probe_from_the_base_sees_the_weights_before_all_stages() -> None:
    base, model = tiny(), tiny()
    left, _ = stage(trace(ratio=0.5), model, 0)
    options = {**QUICK, "ratio": 0.5, "seed": 2}
    attachment = prepared(TraceProbe(probe_from="base", **options), model, 1, [left])
    from_base = prepared(TraceProbe(**options), base, 1)
    plan, wanted = attachment.plan(), from_base.plan()
    assert same(tensors_of(model), dict(attachment.initial()))
    assert plan.probe_identity != plan.start_identity == identity_of(attachment.model)
    assert names(plan) == names(wanted)
    for tensor, other in zip(plan.tensors, wanted.tensors, strict=True):
        assert tensor.score == pytest.approx(other.score, rel=1e-2, abs=1e-4)


def test_stages_of_other_options_are_told() -> None:
    model = tiny()
    left, _ = stage(trace(), model, 0)
    with pytest.raises(HoldfastError, match=r"stage 'task-0' chose among other tensors than this one: '.*' is in only"):
        stage(trace(eligible="all"), model, 1, [left])
    with pytest.raises(HoldfastError, match=r"does not fit units of shape .*: was it trained with another granularity"):
        stage(trace(granularity="row"), model, 1, [left])


def test_a_budget_that_selects_nothing_is_told_before_anything_is_trained_on() -> None:
    with pytest.raises(RecipeError, match=r"trace_probe: ratio=0\.05 of 14 eligible units selects nothing"):
        trace_probe_plan(tiny(), stream(0), ratio=0.05, **QUICK)


def test_a_probe_that_moves_nothing_is_told() -> None:
    model = only_layer_1_can_learn(only_layer_1_can_learn(tiny()))
    for part in ("self_attn.o_proj", "mlp.down_proj"):
        model.get_submodule(f"model.layers.1.{part}").register_forward_hook(lambda *seen: 0 * seen[-1])
    with pytest.raises(HoldfastError, match=r"none of 14 eligible tensors has moved in 2 steps of the probe at rate"):
        trace_probe_plan(model, stream(0), **QUICK)


def test_a_probe_that_diverges_and_one_without_batches_are_told() -> None:
    model = tiny()
    with pytest.raises(BadData, match=r"task 'task' has no batch to be probed on"):
        trace_probe_plan(model, [], **QUICK)
    with torch.no_grad():
        model.lm_head.weight.fill_(float("inf"))
    with pytest.raises(TrainingDiverged, match=r"give a lower probe_learning_rate"):
        trace_probe_plan(model, stream(0), **QUICK)


def test_quantised_weights_are_refused() -> None:
    class Quantised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4, bias=False)])
            packed: Tensor = torch.zeros(4, 4, dtype=torch.uint8)
            self.layers[0].weight = nn.Parameter(packed, requires_grad=False)

    with pytest.raises(HoldfastError, match=r"'layers\.0\.weight' is held in uint8, and quantised weights cannot be"):
        TraceProbe().attach(Quantised())
    with pytest.raises(HoldfastError, match=r"none is a matrix in a decoder block"):
        TraceProbe().attach(nn.Linear(3, 3))


def test_before_it_has_looked_at_data_there_is_no_choice() -> None:
    attachment = TraceProbe().attach(tiny())
    with pytest.raises(NotMeasurable, match=r"trace_probe has chosen nothing yet: it chooses in prepare\(material\)"):
        attachment.plan()


def test_preparing_again_chooses_again_from_all() -> None:
    attachment = prepared(trace(seed=1), tiny())
    first = attachment.plan()
    attachment.prepare(Material({"task-0": stream(0)}))
    assert attachment.plan() == first


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"strategy": "l3"}, "strategy='l3' must be one of l2_fisher, cosine, product"),
        ({"ratio": 0}, "ratio=0 must be a share above 0 and at most 1"),
        ({"ratio": True}, "ratio=True must be a share"),
        ({"alpha": 1.5}, "alpha=1.5 must be a number from 0 to 1"),
        ({"damp": "a"}, "damp='a' must be a number from 0 to 1"),
        ({"fisher_n": 0}, "fisher_n=0 must be a whole number of 1 or more"),
        ({"probe_steps": -1}, "probe_steps=-1 must be a whole number of 0 or more"),
        ({"probe_learning_rate": 0.0}, "probe_learning_rate=0.0 must be a learning rate above 0"),
        ({"seed": -1}, "seed=-1 must be a whole number of 0 or more"),
        ({"keep_probe": 1}, "keep_probe=1 must be True or False"),
        ({"strategy": "cosine", "granularity": "row"}, "strategy='cosine' compares the directions of whole tensors"),
        ({"keep_probe": True, "probe_from": "base"}, "a probe from the base knows nothing of earlier tasks"),
    ],
)
def test_options_out_of_range_are_told(options: Any, fault: str) -> None:
    assert any(found.startswith(f"trace_probe: {fault}") for found in TraceProbe(**options).faults())
    with pytest.raises(RecipeError):
        TraceProbe(**options).attach(tiny())


def test_what_it_trains_at_most_is_known_before_the_probe() -> None:
    model = tiny()
    for options in (
        {},
        {"ratio": 0.3},
        {"budget": "params", "ratio": 0.3},
        {"granularity": "row"},
        {"eligible": "all"},
    ):
        method = trace(**options)
        assert sum(t.numel() for t in prepared(method, tiny()).trainable().values()) <= method.parameters(model)


def test_it_is_installed_and_keeps_the_laws() -> None:
    assert method_named("trace_probe(ratio=0.2)") == TraceProbe(ratio=0.2)
    assert broken_laws(TraceProbe(ratio=1.0)) == []


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"granularity": "row"}, {"keep_probe": True}])
def test_where_it_chooses_it_keeps_all_laws_but_that_its_count_is_known_before(options: Any) -> None:
    assert {broken.law for broken in broken_laws(TraceProbe(**options))} <= {COUNT}
