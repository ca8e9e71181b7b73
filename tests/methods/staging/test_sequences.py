"""DPI and CPI-FT task after task: cores of earlier trainings are held, and each training leaves its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from chains import TASKS, begun, chain, ended, optimizer_of, stepped, weights
from torch import Tensor

from holdfast.core.errors import DamagedCheckpoint, RecipeError
from holdfast.methods.cpi_ft import CpiFt
from holdfast.methods.dpi import Dpi
from holdfast.methods.full import Full
from holdfast.methods.staging.probe import Probe, core
from holdfast.testing.laws import small_model
from holdfast.weights.past import PastStage

DPI = Dpi(ratio=0.05)
CPI: dict[str, Any] = {"ratio": 0.05, "probe_steps": 2, "probe_learning_rate": 1e-3, "omega": 0.3}


def most_moved(before: dict[str, Tensor], after: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Flags of the top share of all absolute changes, by one sort."""
    flat = torch.cat([(after[name] - before[name]).abs().flatten() for name in before])
    chosen = torch.zeros(len(flat), dtype=torch.bool)
    chosen[flat.argsort(descending=True, stable=True)[: int(share * len(flat))]] = True
    parts = chosen.split([tensor.numel() for tensor in before.values()])
    return {name: part.view_as(before[name]) for name, part in zip(before, parts, strict=True)}


def flags(attachment: Any) -> dict[str, Tensor]:
    return {name: bits.dense() for name, bits in attachment.isolation.mask().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_first_task_is_plain_and_later_ones_hold_what_earlier_ones_have_moved_most() -> None:
    plain, _ = chain(Full(), ["one"])
    base, past = chain(DPI, ["one"])
    assert same(weights(base), weights(plain))
    held = most_moved(weights(small_model()), weights(base), 0.05)
    for task in ("two", "three"):
        before = weights(base)
        attachment = begun(DPI, base, task, past)
        stepped(attachment, optimizer_of(attachment), task)
        assert same(flags(attachment), held)
        base, stage = ended(attachment, task)
        after = weights(base)
        assert all(torch.equal(after[name][own], before[name][own]) for name, own in held.items())
        assert any(not torch.equal(after[name], before[name]) for name in after)
        held = {name: held[name] | own for name, own in most_moved(before, after, 0.05).items()}
        past.append(stage)


def test_masked_gradients_do_not_hold() -> None:
    method = Dpi(ratio=0.05, acts="gradient")
    base, past = chain(method, ["one"])
    before, held = weights(base), most_moved(weights(small_model()), weights(base), 0.05)
    attachment = begun(method, base, "two", past)
    stepped(attachment, optimizer_of(attachment), "two")  # its weight decay goes on
    after = weights(ended(attachment, "two")[0])
    moved = torch.cat([(after[name] != before[name])[own] for name, own in held.items()])
    assert moved.float().mean() > 0.9


def test_the_course_tells_what_is_held_and_for_whom() -> None:
    base, past = chain(DPI, ["one", "two"])
    attachment = begun(DPI, base, "three", past)
    stepped(attachment, optimizer_of(attachment), "three")
    course = attachment.course()
    assert [refresh.step for refresh in course.refreshes] == [0]
    assert "held from the first step on: the cores of one, two" in course.notes
    assert not any("nothing was held" in note for note in course.notes)


def test_rows_come_in_any_order_where_there_is_one_task() -> None:
    attachment = begun(DPI, small_model(), "one", [])
    order = attachment.order(["one"] * 5, 12, seed=3)
    assert sorted(order[:5]) == list(range(5)) and len(order) == 12
    alone = Dpi().attach(small_model())
    with pytest.raises(RecipeError, match="it is made for several tasks"):
        alone.order(["one"] * 5, 12, seed=3)


def test_a_task_of_cpi_ft_is_probed_from_where_it_begins_and_its_core_takes_the_values_of_the_probe() -> None:
    base, past = chain(CpiFt(**CPI), ["one"])
    start = weights(base)
    model = small_model()
    model.load_state_dict(base.state_dict())
    tensors = dict(model.named_parameters())
    Probe(2, 1e-3).train(model, tensors, "two", TASKS["two"])
    wanted = {name: bits.dense() for name, bits in core(tensors, start, 0.05).items()}
    attachment = begun(CpiFt(**CPI), base, "two", past)
    stepped(attachment, optimizer_of(attachment), "two")
    held = flags(attachment)
    left = {name: tensor.clone() for name, tensor in attachment.keepsake().items()}
    after = weights(ended(attachment, "two")[0])
    for name, own in wanted.items():
        torch.testing.assert_close(after[name][held[name]], start[name][held[name]], rtol=0, atol=0)
        mine = own & ~held[name]
        torch.testing.assert_close(after[name][mine], tensors[name].detach()[mine], rtol=1e-5, atol=1e-7)
    assert any(bool((wanted[name] & own).any()) for name, own in held.items())  # an overlap, where the earlier one wins
    third = begun(CpiFt(**CPI), small_model(), "three", [PastStage("two", dict, lambda: left)])
    assert same(third.earlier(), wanted)


@pytest.mark.parametrize("fusion", ["start", "end"])
def test_what_is_held_keeps_its_bits_through_fusion(fusion: str) -> None:
    method = CpiFt(**CPI, fusion=fusion)  # type: ignore[arg-type]
    base, past = chain(method, ["one"])
    before = weights(base)
    attachment = begun(method, base, "two", past)
    held = attachment.earlier()
    stepped(attachment, optimizer_of(attachment), "two")
    assert {fact.quantity: fact.value for fact in attachment.facts()}["probe_steps"] == 2
    now = {name: tensor.detach() for name, tensor in attachment.trainable().items()}
    assert all(torch.equal(now[name][own], before[name][own]) for name, own in held.items())


def test_a_core_takes_a_bit_a_scalar() -> None:
    _, (stage,) = chain(DPI, ["one"])
    stored = sum(tensor.numel() * tensor.element_size() for tensor in stage.keepsake().values())
    assert stored == sum(-(-tensor.numel() // 8) for tensor in small_model().parameters())


def test_a_core_of_another_model_is_refused() -> None:
    past = [PastStage("old", dict, lambda: {"own/a": torch.zeros(2, dtype=torch.uint8)})]
    with pytest.raises(
        DamagedCheckpoint, match="dpi: what task 'old' left is no core of this model: masks of different"
    ):
        begun(DPI, small_model(), "two", past)
