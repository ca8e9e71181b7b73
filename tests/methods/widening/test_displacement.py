"""Weights stand elsewhere for the length of a pass, and are afterwards bit for bit what they were."""

from __future__ import annotations

import pytest
import torch
from small import bits, same_bits
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.algebra.delta import Dense
from holdfast.core.errors import HoldfastError, NotMeasurable
from holdfast.methods.widening.displacement import Displacement
from holdfast.weights.passes import take_gradient
from holdfast.weights.update import Update


class Shift(Displacement):
    """Every scalar is moved by a quarter."""

    passes = 1

    def before_pass(self, step: int, micro_batch: int, turn: int) -> None:
        self._displace(Update({name: Dense(torch.ones(t.shape)) for name, t in self.tensors.items()}), 0.25)


class Matrices(Shift):
    """None but matrices are moved."""

    def takes(self, tensor: Tensor) -> bool:
        return tensor.dim() == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_are_elsewhere_in_a_pass_and_back_after_it(model: PreTrainedModel, dtype: torch.dtype) -> None:
    model.to(dtype)
    before, shift = bits(model), Shift(model, "shift")
    start = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    for turn in range(3):
        shift.before_pass(0, turn, 0)
        for name, tensor in model.named_parameters():
            assert torch.equal(tensor, (start[name].float() + 0.25).to(dtype))
        shift.after_pass()
        assert same_bits(bits(model), before)
    shift.after_pass()
    assert same_bits(bits(model), before)


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_weights_are_back_after_whatever_ends_a_pass(model: PreTrainedModel, kind: type[BaseException]) -> None:
    def run() -> None:
        raise kind

    before = bits(model)
    with pytest.raises(kind):
        take_gradient(Shift(model, "shift"), run, 0)
    assert same_bits(bits(model), before)


def test_an_interrupt_while_weights_are_given_back_leaves_no_trace(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift, before, calls = Shift(model, "shift"), bits(model), []
    whole = Shift._copy_back

    def interrupted(self: Shift) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        whole(self)

    monkeypatch.setattr(Shift, "_copy_back", interrupted)
    shift.before_pass(0, 0, 0)
    with pytest.raises(KeyboardInterrupt):
        shift.after_pass()
    assert same_bits(bits(model), before)


def test_displaced_weights_are_never_taken_for_clean_ones(model: PreTrainedModel) -> None:
    """A pass was cut off and nobody said so: the next one begins at the clean weights, and not a step further."""
    before, shift = bits(model), Shift(model, "shift")
    shift.before_pass(0, 0, 0)
    once = bits(model)
    shift.before_pass(0, 1, 0)
    assert same_bits(bits(model), once)
    shift.after_pass()
    assert same_bits(bits(model), before)


def test_what_the_optimizer_does_between_passes_stays(model: PreTrainedModel) -> None:
    shift = Shift(model, "shift")
    shift.before_pass(0, 0, 0)
    shift.after_pass()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.mul_(1.5)
    moved = bits(model)
    shift.before_pass(1, 0, 0)
    shift.after_pass()
    shift.after_pass()
    assert same_bits(bits(model), moved)


def test_gradients_are_those_at_the_other_weights_also_under_checkpointing(
    model: PreTrainedModel, inputs: Tensor
) -> None:
    model.train()
    take_gradient(Shift(model, "shift"), lambda: model(input_ids=inputs, labels=inputs).loss.backward(), 0)
    found = {name: tensor.grad.clone() for name, tensor in model.named_parameters()}
    for checkpointed in (False, True):
        model.zero_grad()
        if checkpointed:
            model.activation_checkpointing_enable({"use_reentrant": False})
            shift = Shift(model, "shift")
            take_gradient(shift, lambda: model(input_ids=inputs, labels=inputs).loss.backward(), 0)
        else:
            with torch.no_grad():
                for tensor in model.parameters():
                    tensor.add_(0.25)
            model(input_ids=inputs, labels=inputs).loss.backward()
            with torch.no_grad():
                for tensor in model.parameters():
                    tensor.sub_(0.25)
        for name, tensor in model.named_parameters():
            torch.testing.assert_close(tensor.grad, found[name], rtol=1e-3, atol=1e-5)


def test_autocast_does_not_hand_out_what_it_rounded_at_other_weights() -> None:
    """One block of autocast around several passes, as in many a loop: it keeps rounded weights until it ends."""
    layer = nn.Linear(4, 4, bias=False)
    shift, read = Shift(layer, "shift"), torch.eye(4)
    with torch.autocast("cpu", torch.bfloat16):
        clean = layer(read)
        shift.before_pass(0, 0, 0)
        displaced = layer(read)
        shift.after_pass()
        again = layer(read)
    assert torch.equal(clean, again)
    torch.testing.assert_close((displaced - clean).float(), torch.full((4, 4), 0.25), rtol=0.0, atol=0.01)


def test_tied_weights_are_moved_once() -> None:
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    head, shift = model.lm_head.weight.detach().clone(), Shift(model, "shift")
    assert "lm_head.weight" not in shift.tensors
    shift.before_pass(0, 0, 0)
    assert torch.equal(model.lm_head.weight, head + 0.25)
    shift.after_pass()
    assert torch.equal(model.lm_head.weight, head)


def test_weights_that_are_not_laid_out_row_by_row_come_back_too() -> None:
    layer = nn.Linear(3, 5, bias=False)
    layer.weight = nn.Parameter(torch.randn(3, 5).T)
    before, shift = layer.weight.detach().clone(), Shift(layer, "shift")
    shift.before_pass(0, 0, 0)
    assert torch.equal(layer.weight, before + 0.25)
    shift.after_pass()
    assert torch.equal(layer.weight, before) and not layer.weight.is_contiguous()


def test_one_copy_is_all_that_is_kept(model: PreTrainedModel) -> None:
    model.to(torch.bfloat16)
    shift, held = Shift(model, "shift"), []
    for turn in range(3):
        shift.before_pass(0, turn, 0)
        held.append({name: shift._copies.tensor(name).data_ptr() for name in shift.tensors})
        shift.after_pass()
    assert held[0] == held[1] == held[2]
    kept = sum(tensor.untyped_storage().nbytes() for tensor in shift._copies._buffers.values())
    assert kept == sum(tensor.numel() * 2 for tensor in model.parameters())


def test_what_is_frozen_or_left_out_stays(model: PreTrainedModel) -> None:
    model.model.embed_tokens.weight.requires_grad_(False)
    before, shift = bits(model), Matrices(model, "matrices")
    shift.before_pass(0, 0, 0)
    moved = {name for name, (_, _, now) in bits(model).items() if not torch.equal(now, before[name][2])}
    expected = {name for name, tensor in model.named_parameters() if tensor.dim() == 2 and tensor.requires_grad}
    assert moved == expected and "model.embed_tokens.weight" not in moved


def test_nothing_to_displace_is_refused(model: PreTrainedModel) -> None:
    norm = nn.LayerNorm(3)
    with pytest.raises(HoldfastError, match="matrices displaces what is trained, and finds none of 2 trained tensors"):
        _ = Matrices(norm, "matrices").tensors
    with pytest.raises(HoldfastError, match="finds none of 0 trained tensors to displace"):
        _ = Shift(model.requires_grad_(False), "shift").tensors


def test_weights_that_lie_on_other_processes_are_refused() -> None:
    layer = nn.Linear(3, 3, bias=False)
    layer.weight.data = torch.empty(0)
    with pytest.raises(HoldfastError, match="'weight' has no numbers here: are weights partitioned among processes"):
        _ = Shift(layer, "shift").tensors


def test_weights_of_eight_bits_are_refused() -> None:
    layer = nn.Linear(3, 3, bias=False)
    layer.weight = nn.Parameter(torch.zeros(3, 3).to(torch.float8_e4m3fn))
    with pytest.raises(NotMeasurable, match="'weight' is quantised"):
        _ = Shift(layer, "shift").tensors
