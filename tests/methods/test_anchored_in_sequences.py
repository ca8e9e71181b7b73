"""EWC, SI and MAS task after task: what each leaves, what pulls, and that the first is not held back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from chains import STEPS, TASKS, begun, chain, ended, optimizer_of, stepped, weights
from torch import Tensor

from holdfast.core.errors import HoldfastError
from holdfast.methods.anchored import Anchoring
from holdfast.methods.ewc import Ewc
from holdfast.methods.full import Full
from holdfast.methods.l2_sp import L2Sp
from holdfast.methods.mas import Mas
from holdfast.methods.on_top import method_named
from holdfast.methods.si import Si
from holdfast.testing.laws import small_model
from holdfast.weights.material import Material
from holdfast.weights.past import PastStage

MEASURED: list[Anchoring] = [Ewc(strength=0.3), Mas(strength=0.3)]
ALL: list[Anchoring] = [*MEASURED, Si(strength=0.3)]


def over_mean(raw: dict[str, Tensor]) -> dict[str, Tensor]:
    mean = torch.cat([tensor.flatten().double() for tensor in raw.values()]).mean()
    return {name: (tensor.double() / mean).float() for name, tensor in raw.items()}


def left_by(one: Any) -> dict[str, Tensor]:
    """What a stage, or an attachment, leaves, without what stands before the names."""
    return {name.removeprefix("own/"): tensor for name, tensor in one.keepsake().items()}


def agree(found: Any, wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-5 * float(tensor.abs().max()) + 1e-12)


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
def test_a_first_task_without_source_is_that_of_the_inner_method(method: Anchoring) -> None:
    base, _ = chain(method, ["one"])
    plain, _ = chain(Full(), ["one"])
    assert all(torch.equal(tensor, weights(plain)[name]) for name, tensor in weights(base).items())


@pytest.mark.parametrize("method", MEASURED, ids=lambda method: method.name)
def test_a_task_leaves_its_importance_at_its_end_added_to_that_of_all_before(method: Anchoring) -> None:
    base, past, total = small_model(), [], {}
    for task in TASKS:
        attachment = begun(method, base, task, past)
        stepped(attachment, optimizer_of(attachment), task)
        twin = Full().attach(copy.deepcopy(attachment.model))
        own = over_mean(dict(method.measure(twin, TASKS[task])))
        total = {name: tensor + total.get(name, 0) for name, tensor in own.items()}
        base, stage = ended(attachment, task)
        agree(left_by(stage), total)
        past.append(stage)


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
def test_a_later_task_is_pulled_to_where_it_began_by_the_sum_that_the_latest_left(method: Anchoring) -> None:
    base, past = chain(method, ["one", "two"])
    start = weights(base)
    attachment = begun(method, base, "three", past)
    assert attachment.penalty().item() == 0
    with torch.no_grad():
        for tensor in attachment.trainable().values():
            tensor += 0.03 * torch.randn_like(tensor)
    penalty, tensors, left = attachment.penalty(), attachment.trainable(), left_by(past[-1])
    value = sum(
        float((left[name].double() * (t.detach() - start[name]).double() ** 2).sum()) for name, t in tensors.items()
    )
    assert penalty.item() == pytest.approx(0.15 * value, rel=1e-4)
    for (name, tensor), found in zip(
        tensors.items(), torch.autograd.grad(penalty, list(tensors.values())), strict=True
    ):
        wanted = 0.3 * left[name] * (tensor.detach() - start[name])
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-7)
        torch.testing.assert_close(attachment.pull_at(name, tensor.detach()), wanted, rtol=1e-4, atol=1e-7)


def test_the_account_of_si_is_kept_on_the_real_path_without_the_gradient_of_the_pull() -> None:
    method = Si(strength=3.0, damping=0.02)
    base, past = chain(method, ["one"])
    attachment = begun(method, base, "two", past)
    optimizer = optimizer_of(attachment)
    tensors, start = attachment.trainable(), weights(base)
    account = {name: torch.zeros_like(tensor, dtype=torch.float64) for name, tensor in tensors.items()}
    for step in range(STEPS):
        twin = copy.deepcopy(attachment.model)
        twin(**TASKS["two"][step % 2]).loss.backward()  # the task's own gradient, and no pull
        alone = {name: tensor.grad.double() for name, tensor in twin.named_parameters()}
        before = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        stepped(attachment, optimizer, "two", step, step + 1)
        for name, tensor in tensors.items():
            account[name] -= alone[name] * (tensor.detach() - before[name]).double()
    raw = {
        name: (account[name].clamp(min=0) / ((tensor.detach() - start[name]).double() ** 2 + 0.02)).float()
        for name, tensor in tensors.items()
    }
    wanted = {name: tensor + left_by(past[0])[name] for name, tensor in over_mean(raw).items()}
    agree(left_by(attachment), wanted)


def test_a_resumed_training_of_si_leaves_what_one_that_was_never_stopped_leaves() -> None:
    method = Si()
    whole = begun(method, small_model(), "one", [])
    first = optimizer_of(whole)
    stepped(whole, first, "one", 0, 2)
    again = begun(method, copy.deepcopy(small_model()), "one", [])
    with torch.no_grad():
        for name, tensor in again.trainable().items():
            tensor.copy_(whole.trainable()[name])
    again.restore({name: tensor.clone() for name, tensor in whole.state().items()})
    second = optimizer_of(again)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    stepped(whole, first, "one", 2, 4)
    stepped(again, second, "one", 2, 4)
    left = whole.keepsake()
    assert all(torch.equal(tensor, left[name]) for name, tensor in again.keepsake().items())


def test_outside_of_a_sequence_nothing_is_accounted_for() -> None:
    attachment: Any = Si(strength=0.5, steps=2).attach(small_model())
    attachment.prepare(Material({"one": TASKS["one"]}, TASKS["two"]))
    stepped(attachment, optimizer_of(attachment), "one")
    assert attachment.state() == {}


def test_a_step_that_mixed_precision_skips_is_not_accounted_for() -> None:
    attachment = begun(Si(), small_model(), "one", [])
    for tensor in attachment.trainable().values():
        tensor.grad = torch.full_like(tensor, torch.inf)
    attachment.after_backward(0, 1)
    attachment.after_step(0, 1)
    assert all(float(account.abs().max()) == 0 for account in attachment.own_state().values())


@pytest.mark.parametrize("method", ALL, ids=lambda method: method.name)
def test_source_of_a_first_task_counts_from_then_on_and_later_source_is_not_looked_at(method: Anchoring) -> None:
    first = begun(method, small_model(), "one", [], TASKS["three"])
    wanted = over_mean(dict(method.measure(Full().attach(small_model()), TASKS["three"])))
    agree(first._importance, wanted)
    stepped(first, optimizer_of(first), "one")
    own = over_mean(dict(first.importance_of_task()))
    agree(left_by(first), {name: tensor + wanted[name] for name, tensor in own.items()})
    base, stage = ended(first, "one")
    with_source = begun(method, base, "two", [stage], TASKS["three"])
    agree(with_source._importance, left_by(stage))


@pytest.mark.parametrize("spec", ["ewc(on='lora(r=4)')", "si(on='lora(r=4)')", "dpi(on='lora(r=4)')"])
def test_an_adapter_is_refused_as_its_scalars_are_others_in_every_task(spec: str) -> None:
    with pytest.raises(HoldfastError, match=r"each task of a sequence has a fresh adapter, .*\(on='full'\)"):
        begun(method_named(spec), small_model(), "one", [])


def test_what_weighs_nothing_goes_on_an_adapter_too() -> None:
    for method in (Ewc(strength=0.0, on="lora(r=2)"), L2Sp(on="lora(r=2)")):
        base, past = chain(method, ["one"])
        assert begun(method, base, "two", past).keepsake() == {} == past[0].keepsake()


def test_a_past_of_another_model_is_refused() -> None:
    past = [PastStage("old", dict, lambda: {"own/a": torch.zeros(2)})]
    with pytest.raises(
        HoldfastError, match=r"ewc: task 'old' left no importance of shape \(128, 64\) for 'model.embed"
    ):
        begun(Ewc(), small_model(), "two", past)


def test_it_forgets_less_than_training_without_a_pull() -> None:
    def loss_of_first(strength: float) -> float:
        base, _ = chain(Ewc(strength=strength), ["one", "two"])
        with torch.no_grad():
            return float(base(**TASKS["one"][0]).loss)

    assert loss_of_first(100.0) < loss_of_first(0.0)
