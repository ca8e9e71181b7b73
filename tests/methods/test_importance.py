"""Importance equals that of slow loops over sequences, tokens and steps, and leaves no trace in the model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from small import batch, bits, moved, same_bits
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.methods.full import Full
from holdfast.methods.importance import fisher, output_sensitivity, path_integral, sequences
from holdfast.methods.lora import Lora
from holdfast.weights.contracts import Attachment, Method

METHODS = [Full(), Lora(r=2, dropout=0.5)]
BATCHES = [batch(1), batch(2, rows=2, width=6)]


def on(method: Method, model: PreTrainedModel) -> Attachment:
    """Trained tensors off their start, so that no factor is 0, and in training mode, so that dropout would act."""
    attachment = moved(method, model)
    attachment.model.train()
    return attachment


def gradients(attachment: Attachment, score: Tensor) -> dict[str, Tensor]:
    attachment.model.zero_grad()
    score.backward()
    found = {name: t.grad.detach().clone() for name, t in attachment.trainable().items() if t.grad is not None}
    attachment.model.zero_grad()
    return found


def log_likelihood(attachment: Attachment, row: Tensor, prompt: int) -> Tensor:
    """Token by token, from the probabilities of a single unpadded sequence."""
    chances = attachment.model(input_ids=row[None]).logits[0].softmax(-1)
    return sum((chances[at - 1, row[at]].log() for at in range(prompt, len(row))), start=torch.zeros(()))


def rows_of(batches: list[dict[str, Tensor]]) -> list[Tensor]:
    return [
        row[mask.bool()] for one in batches for row, mask in zip(one["input_ids"], one["attention_mask"], strict=True)
    ]


def agree(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert any(bool(tensor.any()) for tensor in wanted.values())
    for name, tensor in wanted.items():
        scale = float(tensor.abs().max())
        torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-5 * scale, msg=lambda m, n=name: f"{n}: {m}")


def mean_over_rows(
    attachment: Attachment, score: Callable[[Tensor], Tensor], of: Callable[[Tensor], Tensor]
) -> dict[str, Tensor]:
    rows = rows_of(BATCHES)
    total = {name: torch.zeros_like(tensor) for name, tensor in attachment.trainable().items()}
    attachment.model.eval()
    for row in rows:
        for name, gradient in gradients(attachment, score(row)).items():
            total[name] += of(gradient) / len(rows)
    return total


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_the_fisher_is_the_mean_of_squared_gradients_of_single_sequences(
    method: Method, model: PreTrainedModel
) -> None:
    attachment = on(method, model)
    found = fisher(attachment, BATCHES, "sequence")
    agree(found, mean_over_rows(attachment, lambda row: log_likelihood(attachment, row, 3), torch.square))


def test_per_batch_the_gradient_of_the_mean_loss_is_squared(model: PreTrainedModel) -> None:
    attachment = on(Full(), model)
    found = fisher(attachment, BATCHES, "batch")
    attachment.model.eval()
    wanted = {name: torch.zeros_like(tensor) for name, tensor in attachment.trainable().items()}
    for one in BATCHES:
        for name, gradient in gradients(attachment, attachment.model(**one).loss).items():
            wanted[name] += gradient**2 / 2
    agree(found, wanted)
    assert sum(float(t.sum()) for t in found.values()) < sum(
        float(t.sum()) for t in fisher(attachment, BATCHES, "sequence").values()
    )


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_output_sensitivity_is_the_mean_absolute_gradient_of_the_norm_of_logits(
    method: Method, model: PreTrainedModel
) -> None:
    attachment = on(method, model)
    found = output_sensitivity(attachment, BATCHES)

    def norm(row: Tensor) -> Tensor:
        logits = attachment.model(input_ids=row[None]).logits[0]
        return sum((logits[at] @ logits[at] for at in range(len(row))), start=torch.zeros(())) / len(row)

    agree(found, mean_over_rows(attachment, norm, torch.abs))


def test_the_path_integral_adds_up_what_each_scalar_did_for_the_loss(model: PreTrainedModel) -> None:
    attachment = on(Full(), model)
    found = path_integral(attachment, BATCHES, steps=5, rate=1e-3, damping=1e-3)
    attachment.model.eval()
    tensors = attachment.trainable()
    start = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    account = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
    first = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
    second = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
    for step in range(1, 6):
        for name, gradient in gradients(attachment, attachment.model(**BATCHES[(step - 1) % 2]).loss).items():
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            move = -1e-3 * (first[name] / (1 - 0.9**step)) / ((second[name] / (1 - 0.999**step)).sqrt() + 1e-8)
            account[name] += -gradient * move
            with torch.no_grad():
                tensors[name].add_(move)
    wanted = {
        name: account[name].clamp(min=0) / ((tensor.detach() - start[name]) ** 2 + 1e-3)
        for name, tensor in tensors.items()
    }
    for name, tensor in wanted.items():
        # The movement is the difference of two float32 weights, of which little is left.
        torch.testing.assert_close(found[name], tensor, rtol=2e-2, atol=1e-3 * float(tensor.max()))


def test_what_made_the_loss_worse_does_not_matter(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def uphill(tensors: list[Tensor], lr: float, weight_decay: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(tensors, lr=lr, maximize=True)

    monkeypatch.setattr(torch.optim, "AdamW", uphill)
    found = path_integral(on(Full(), model), BATCHES, steps=2, rate=1e-2, damping=1e-3)
    assert not any(bool(tensor.any()) for tensor in found.values())


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_measuring_leaves_tensors_gradients_and_modes_as_they_were(method: Method, model: PreTrainedModel) -> None:
    attachment = on(method, model)
    before = bits(attachment.model)
    random = torch.get_rng_state()
    fisher(attachment, BATCHES, "sequence")
    output_sensitivity(attachment, BATCHES)
    path_integral(attachment, BATCHES, steps=3, rate=1e-2, damping=1e-3)
    assert same_bits(bits(attachment.model), before)
    assert all(tensor.grad is None for tensor in attachment.model.parameters())
    assert attachment.model.training
    assert torch.equal(torch.get_rng_state(), random)


def test_of_a_fresh_lora_only_the_factor_that_starts_at_zero_matters(model: PreTrainedModel) -> None:
    found = fisher(Lora(r=2).attach(model), BATCHES, "sequence")
    assert all(bool(tensor.any()) == ("lora_B" in name) for name, tensor in found.items())


def test_a_tensor_in_half_precision_is_measured_in_float32(model: PreTrainedModel) -> None:
    attachment = Lora(r=2).attach(model.bfloat16())
    found = fisher(attachment, BATCHES, "sequence")
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert {
        tensor.dtype for tensor in path_integral(attachment, BATCHES, steps=1, rate=1e-3, damping=1.0).values()
    } == {torch.float32}


def test_sequences_come_one_by_one_without_their_padding() -> None:
    found = list(sequences(batch(1)))
    assert [tuple(row["input_ids"].shape) for row in found] == [(1, 9), (1, 8), (1, 7)]
    assert all(bool(row["attention_mask"].all()) for row in found)
    assert [int((row["labels"] == -100).sum()) for row in found] == [3, 3, 3]


def test_nothing_matters_where_there_are_no_batches(model: PreTrainedModel) -> None:
    assert not any(bool(tensor.any()) for tensor in fisher(Lora(r=2).attach(model), [], "sequence").values())
