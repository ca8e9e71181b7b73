"""InfLoRA reads only what earlier tasks do not say, and leaves their inputs' answers as they were."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from chains import TASKS, begun, chain, ended, optimizer_of, stepped
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from holdfast.core.errors import HoldfastError
from holdfast.methods.inf_lora import InfLora
from holdfast.testing.laws import broken_laws, small_model
from holdfast.weights.material import Material
from holdfast.weights.past import PastStage

LAYER = "base_model.model.model.layers.1.mlp.up_proj"


def inputs_of(model: nn.Module, task: str, layer: str) -> Tensor:
    """What one layer reads of a task, one token a row, in float64."""
    rows: list[Tensor] = []

    def hear(_: nn.Module, args: tuple[Any, ...]) -> None:
        rows.append(args[0].detach())

    handle = model.get_submodule(layer).register_forward_pre_hook(hear)
    mode = model.training
    model.eval()
    for one in TASKS[task]:
        with torch.no_grad():
            model(input_ids=one["input_ids"], attention_mask=one["attention_mask"])
    handle.remove()
    model.train(mode)
    present = [one["attention_mask"].bool() for one in TASKS[task]]
    return torch.cat([row[mask] for row, mask in zip(rows, present, strict=True)]).double()


def factor(attachment: Any, layer: str = LAYER) -> Tensor:
    found = attachment.model.get_submodule(layer)
    assert isinstance(found, LoraLayer)
    return found.lora_A["default"].weight


def test_a_first_task_reads_the_leading_directions_of_its_inputs() -> None:
    attachment = begun(InfLora(r=3), small_model(), "one", [])
    optimizer_of(attachment)
    rows = inputs_of(attachment.model, "one", LAYER)
    leading = torch.linalg.svd(rows.T @ rows / len(rows)).U[:, :3]
    cosines = 3**0.5 * factor(attachment).double() @ leading
    torch.testing.assert_close(cosines.abs(), torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-4)


def test_only_the_other_factor_is_trained() -> None:
    attachment = begun(InfLora(r=3), small_model(), "one", [])
    optimizer = optimizer_of(attachment)
    before = factor(attachment).clone()
    stepped(attachment, optimizer, "one")
    assert torch.equal(factor(attachment), before)
    assert all("lora_B" in name for name in attachment.trainable()) and len(attachment.trainable()) == 14
    assert InfLora(r=3).parameters(small_model()) == sum(t.numel() for t in attachment.trainable().values())


def test_a_later_task_is_that_of_a_dense_projector_and_changes_nothing_inside_the_kept_space() -> None:
    method = InfLora(r=3, threshold=0.9)
    first = begun(method, small_model(), "one", [])
    stepped(first, optimizer_of(first), "one")
    rows = inputs_of(first.model, "one", LAYER)
    moment = rows.T @ rows / len(rows)
    left, values, _ = torch.linalg.svd(moment)
    dims = next(count for count in range(64) if (values[:count] ** 2).sum() >= 0.9 * (values**2).sum())
    kept = left[:, :dims]
    base, stage = ended(first, "one")
    second = begun(method, base, "two", [stage], seed=1)
    optimizer = optimizer_of(second)
    rows = inputs_of(second.model, "two", LAYER)
    off = torch.eye(64, dtype=torch.float64) - kept @ kept.T
    wanted = torch.linalg.svd(off @ (rows.T @ rows / len(rows))).U[:, :3]
    cosines = 3**0.5 * factor(second).double() @ wanted
    torch.testing.assert_close(cosines.abs(), torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-3)
    stepped(second, optimizer, "two")
    change = second.update()[LAYER.removeprefix("base_model.model.") + ".weight"].dense().double()
    assert float((change @ kept).norm()) < 1e-5 * float(change.norm()) > 0


def test_over_three_tasks_the_kept_space_only_grows() -> None:
    method = InfLora(r=2, threshold=0.9, sessions=3)
    _, past = chain(method, ["one", "two"])
    shares = []
    for count in range(3):
        fresh = begun(method, small_model(), "three", past[:count])
        shares.append({fact.quantity: fact.value for fact in fresh.facts()}["kept_input_dims_frac"])
    assert 0 == shares[0] < shares[1] < shares[2] < 1
    assert [method.threshold_after(tasks) for tasks in (0, 3, 9)] == pytest.approx([0.9, 1.0, 1.0])
    assert method.threshold_after(1) == pytest.approx(0.9 + 0.1 / 3)


def test_where_nothing_is_left_to_read_directions_are_idle() -> None:
    method = InfLora(r=3, threshold=1.0)
    _, past = chain(method, ["one"])
    again = begun(method, small_model(), "one", past)  # the first block reads the very same again
    optimizer_of(again)
    first = "base_model.model.model.layers.0.self_attn.q_proj"
    assert not factor(again, first).any()
    facts = {fact.quantity: fact.value for fact in again.facts()}
    assert facts["idle_directions"] >= 9  # of queries, keys and values of the first block


def test_a_layer_that_reads_nothing_has_no_directions_and_keeps_nothing() -> None:
    model = small_model()
    model.idle = nn.Linear(64, 8, bias=False)
    attachment = begun(InfLora(r=2), model, "one", [])
    stepped(attachment, optimizer_of(attachment), "one")
    idle = "base_model.model.idle"
    assert not factor(attachment, idle).any() and factor(attachment).any()
    assert attachment.keepsake()[f"{idle}.kept"].shape == (64, 0)


def test_a_resumed_training_takes_the_directions_that_it_began_with() -> None:
    whole = begun(InfLora(r=2), small_model(), "one", [])
    optimizer = optimizer_of(whole)
    stepped(whole, optimizer, "one", 0, 2)
    state = {name: tensor.clone() for name, tensor in whole.state().items()}
    trained = {name: tensor.detach().clone() for name, tensor in whole.trainable().items()}
    moments = copy.deepcopy(optimizer.state_dict())
    again = begun(InfLora(r=2), small_model(), "two", [], seed=9)  # other inputs, to show whose directions are taken
    with torch.no_grad():
        for name, tensor in again.trainable().items():
            tensor.copy_(trained[name])
    again.restore(state)
    second = optimizer_of(again)
    second.load_state_dict(moments)
    stepped(whole, optimizer, "one", 2, 4)
    stepped(again, second, "one", 2, 4)
    assert all(torch.equal(tensor, whole.trainable()[name]) for name, tensor in again.trainable().items())


def test_looking_leaves_everything_as_it_was() -> None:
    attachment = InfLora(r=2).attach(small_model())
    before = {name: tensor.clone() for name, tensor in attachment.model.state_dict().items()}
    assert any("lora_A" in name for name in before)
    attachment.prepare(Material(TASKS))
    assert all(torch.equal(tensor, before[name]) for name, tensor in attachment.model.state_dict().items())


def test_without_having_seen_the_task_it_does_not_train() -> None:
    attachment = InfLora().attach(small_model())
    with pytest.raises(HoldfastError, match=r"has seen nothing of it: call attachment.prepare"):
        attachment.before_training(torch.optim.SGD(attachment.trainable().values(), lr=1.0), 3)


def test_a_past_of_another_model_is_refused() -> None:
    past = [PastStage("old", dict, lambda: {f"{LAYER}.kept": torch.zeros(3, 1)})]
    with pytest.raises(HoldfastError, match="task 'old' left no space of 64 inputs"):
        begun(InfLora(), small_model(), "two", past)


def test_it_keeps_the_laws() -> None:
    assert broken_laws(InfLora(r=4)) == []


@pytest.mark.parametrize(
    "options", [{"threshold": 1.2, "final_threshold": 1.3}, {"threshold": 0.9, "final_threshold": 0.8}]
)
def test_shares_that_are_none_are_refused(options: dict[str, float]) -> None:
    (fault,) = InfLora(**options).faults()  # type: ignore[arg-type]
    assert "must be shares above 0 and up to 1, and the first not above the second" in fault
