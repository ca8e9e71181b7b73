"""O-LoRA's penalty is that of explicit loops over rows, keeps directions apart, and is not there in a first task."""

from __future__ import annotations

import pytest
import torch
from chains import begun, chain, optimizer_of, stepped, weights
from torch import Tensor

from holdfast.core.errors import HoldfastError
from holdfast.methods.lora import Lora
from holdfast.methods.o_lora import OLora
from holdfast.testing.laws import broken_laws, small_model
from holdfast.weights.past import PastStage


def by_loops(past: list[PastStage], own: dict[str, Tensor]) -> float:
    found = 0.0
    for stage in past:
        for name, old in stage.keepsake().items():
            for one in old.double():
                for other in own[name].detach().double():
                    found += abs(float((one * other).sum()))
    return found


def test_with_one_task_it_is_plain_lora_bit_for_bit() -> None:
    one, _ = chain(OLora(r=4), ["one"])
    other, _ = chain(Lora(r=4), ["one"])
    assert all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())


def test_outside_of_a_sequence_it_is_plain_lora() -> None:
    attachment = OLora(r=4).attach(small_model())
    assert attachment.penalty() is None and attachment.facts() == ()


def test_the_penalty_and_its_gradient_are_those_of_all_pairs_of_rows_of_all_earlier_tasks() -> None:
    base, past = chain(OLora(r=2), ["one", "two"])
    attachment = begun(OLora(r=3, strength=0.7), base, "three", past, seed=5)
    penalty = attachment.penalty()
    assert penalty.item() == pytest.approx(0.7 * by_loops(past, attachment.trainable()), rel=1e-5)
    name = next(iter(past[0].keepsake()))
    own = attachment.trainable()[name]
    (found,) = torch.autograd.grad(penalty, [own])
    wanted = torch.zeros_like(own)
    for stage in past:
        for old in stage.keepsake()[name]:
            for row in range(3):
                wanted[row] += 0.7 * torch.sign(old @ own[row].detach()) * old
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_it_leaves_the_rows_that_it_has_learned_and_not_those_it_began_with() -> None:
    attachment = begun(OLora(r=2), small_model(), "one", [])
    stepped(attachment, optimizer_of(attachment), "one")
    left, start = attachment.keepsake(), attachment.initial()
    assert left.keys() == {name for name in attachment.trainable() if "lora_A" in name}
    for name, tensor in left.items():
        assert torch.equal(tensor, attachment.trainable()[name]) and not torch.equal(tensor, start[name])
        assert tensor.data_ptr() != attachment.trainable()[name].data_ptr()


def test_it_drives_the_overlap_down_where_plain_lora_does_not() -> None:
    base, past = chain(OLora(r=2), ["one"])
    overlaps = {}
    for strength in (0.0, 0.5):
        attachment = begun(OLora(r=2, strength=strength), base, "two", past, seed=3)
        before = by_loops(past, attachment.trainable())
        stepped(attachment, optimizer_of(attachment, rate=3e-3), "two")
        overlaps[strength] = by_loops(past, attachment.trainable()) / before
        facts = {fact.quantity: fact for fact in attachment.facts()}
        assert set(facts) == (set() if not strength else {"pull_at_end", "direction_overlap_at_end"})
        attachment.detach()
    assert overlaps[0.5] < 0.9 * overlaps[0.0]


def test_the_overlap_that_is_told_is_the_mean_cosine() -> None:
    base, past = chain(OLora(r=2), ["one"])
    attachment = begun(OLora(r=3), base, "two", past, seed=3)
    cosines = [
        abs(float(torch.cosine_similarity(old, own, dim=0)))
        for name, olds in past[0].keepsake().items()
        for old in olds
        for own in attachment.trainable()[name].detach()
    ]
    facts = {fact.quantity: fact.value for fact in attachment.facts()}
    assert facts["direction_overlap_at_end"] == pytest.approx(sum(cosines) / len(cosines), rel=1e-4)


def test_a_past_of_another_model_is_refused() -> None:
    past = [PastStage("old", dict, lambda: {"a": torch.zeros(2, 2)})]
    with pytest.raises(HoldfastError, match=r"task 'old' left none of 64 inputs for it: train all tasks .* on one"):
        begun(OLora(), small_model(), "two", past)


def test_half_precision_is_multiplied_in_float32() -> None:
    _, past = chain(OLora(r=2), ["one"])
    attachment = begun(OLora(r=2), small_model().bfloat16(), "two", past)
    assert attachment.penalty().dtype == torch.float32
    assert attachment.penalty().item() == pytest.approx(0.5 * by_loops(past, attachment.trainable()), rel=1e-4)


def test_it_keeps_the_laws() -> None:
    assert broken_laws(OLora()) == []


def test_a_strength_below_0_is_refused() -> None:
    assert OLora(strength=-1.0).faults() == ("o_lora: strength=-1.0 must be at least 0",)
    assert OLora(strength=0.0).faults() == ()
