"""A plan on anybody's model: it freezes, it checks, and it refuses what it was not made for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from chosen import QUICK, stream, tensors_of, tiny

from holdfast.core.errors import HoldfastError, IncompatibleUpdate
from holdfast.core.parameter_plan import ParameterPlan, PlannedTensor
from holdfast.methods.probing.applying import apply_plan
from holdfast.methods.trace_probe import trace_probe_plan

Q = "model.layers.0.self_attn.q_proj.weight"


def by_hand(**changes: Any) -> ParameterPlan:
    tensor = PlannedTensor(name=Q, params=1024, chosen=True).model_copy(update=changes)
    return ParameterPlan(task="t", method="by hand", seed=0, model_params=1, model_tensors=1, tensors=(tensor,))


def test_a_plain_loop_trains_the_core_and_nothing_else() -> None:
    model = tiny()
    plan = trace_probe_plan(model, stream(0), ratio=0.2, **QUICK)
    model(**stream(0)[0]).loss.backward()  # of what was before, nothing goes into the first step
    applied, before = apply_plan(plan, model), tensors_of(model)
    assert all(tensor.grad is None for tensor in model.parameters())
    optimizer = torch.optim.AdamW([t for t in model.parameters() if t.requires_grad], lr=1e-2, weight_decay=0.1)
    applied.check_optimizer(optimizer)
    model.train()
    for batch in stream(0):
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    applied.check()
    core = {tensor.name for tensor in plan.chosen}
    assert {n for n, t in model.named_parameters() if not torch.equal(t, before[n])} == core == set(applied.trained())
    applied.release()
    assert all(tensor.requires_grad for tensor in model.parameters())


def test_a_frozen_tensor_that_moves_is_found_out() -> None:
    model = tiny()
    applied = apply_plan(by_hand(), model)
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1e-7
    with pytest.raises(HoldfastError, match=r"1 of 20 frozen tensors have moved, such as 'lm_head\.weight'"):
        applied.check()


def test_release_gives_back_the_flags_there_were() -> None:
    model = tiny()
    model.lm_head.requires_grad_(False)
    model.get_submodule("model.layers.0.self_attn.q_proj").requires_grad_(False)
    applied = apply_plan(by_hand(), model)
    assert [name for name, tensor in model.named_parameters() if tensor.requires_grad] == [Q]
    applied.release()
    frozen = [name for name, tensor in model.named_parameters() if not tensor.requires_grad]
    assert frozen == [Q, "lm_head.weight"]


def test_an_optimizer_that_was_built_before_is_refused() -> None:
    model = tiny()
    early = torch.optim.AdamW(model.parameters())
    applied = apply_plan(by_hand(), model)
    with pytest.raises(HoldfastError, match=r"the optimizer holds 20 frozen tensors, such as 'model\.embed_tokens"):
        applied.check_optimizer(early)
    with pytest.raises(HoldfastError, match=r"the optimizer holds none of the tensors that the plan trains"):
        applied.check_optimizer(torch.optim.AdamW(tiny().parameters()))


def test_weights_that_were_not_rewound_are_refused_and_half_precision_is_the_same_weights() -> None:
    model = tiny(dtype=torch.bfloat16)
    plan = trace_probe_plan(model, stream(0), **QUICK)
    apply_plan(plan, model)
    apply_plan(plan, model.float())
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    with pytest.raises(IncompatibleUpdate, match=r"the weights are not those that the plan of task 'task' is to begin"):
        apply_plan(plan, model)
    apply_plan(plan, model, check_start=False)


def test_a_plan_by_hand_may_name_a_tied_tensor_by_any_of_its_names() -> None:
    model = tiny(tied=True)
    applied = apply_plan(by_hand(name="lm_head.weight", params=128 * 32), model)
    assert list(applied.trained()) == ["model.embed_tokens.weight"]


def test_plans_that_do_not_fit_are_told() -> None:
    model = tiny()
    with pytest.raises(
        IncompatibleUpdate, match=r"trains 'other' with 1,024 scalars, and this LlamaForCausalLM has no"
    ):
        apply_plan(by_hand(name="other"), model)
    with pytest.raises(IncompatibleUpdate, match=r"with 7 scalars, and this LlamaForCausalLM has 1,024 scalars"):
        apply_plan(by_hand(params=7), model)
    with pytest.raises(HoldfastError, match=r"the plan of task 't' chooses none of its 1 tensors"):
        apply_plan(by_hand(chosen=False), model)
    with pytest.raises(HoldfastError, match=r"the plan trains 32 of the 1,024 scalars of '.*', and a plan names whole"):
        apply_plan(by_hand(chosen_params=32), model)
    packed = torch.nn.Parameter(torch.zeros(1024, dtype=torch.uint8), requires_grad=False)
    model.get_submodule("model.layers.0.self_attn.q_proj").weight = packed
    with pytest.raises(HoldfastError, match=r"a plan: '.*' is held in uint8, and quantised weights cannot be trained"):
        apply_plan(by_hand(), model)
    assert all(tensor.requires_grad for name, tensor in model.named_parameters() if name != Q)
