"""How far units move, and how much the loss hangs on them, against slow twins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from chosen import stream, tiny
from torch import Tensor, nn

from holdfast.core.errors import BadData, HoldfastError
from holdfast.methods.probing.signals import fisher, moved, rows_of, score_deltas


class Linear(nn.Module):
    """A linear model with a squared loss, whose gradients can be written down."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 0.0], [0.0, 1.0]]))

    def forward(self, input_ids: Tensor, labels: Tensor) -> Any:
        found = input_ids.float() @ self.w.T
        return SimpleNamespace(loss=0.5 * (found - labels[:, 1:].float()).square().sum(-1).mean())


def linear_batch(rows: int) -> dict[str, Tensor]:
    labels = torch.tensor([[9, 1, 2, 3], [9, 0, 1, 1], [9, 2, 2, 0]])
    return {"input_ids": torch.tensor([[1, 2], [3, 1], [0, 2]])[:rows], "labels": labels[:rows]}


def gradient(row: int) -> np.ndarray:
    """The gradient of half the squared error of one row: error times input."""
    weight = np.array([[1.0, -2.0], [0.5, 0.0], [0.0, 1.0]])
    batch = linear_batch(3)
    inputs, wanted = batch["input_ids"][row].numpy(), batch["labels"][row, 1:].numpy()
    return np.outer(weight @ inputs - wanted, inputs)


def test_fisher_is_the_hand_computed_value_on_a_linear_model() -> None:
    model = Linear()
    wanted = np.mean([gradient(row) ** 2 for row in range(3)], axis=0)
    assert fisher(model, [linear_batch(3)], granularity="scalar")["w"].numpy() == pytest.approx(wanted)
    assert fisher(model, [linear_batch(3)], granularity="row")["w"].numpy() == pytest.approx(wanted.mean(axis=1))
    assert float(fisher(model, [linear_batch(3)])["w"]) == pytest.approx(wanted.mean())
    assert model.w.grad is None


def test_per_batch_the_gradient_of_the_batch_is_squared() -> None:
    wanted = np.mean([np.mean([gradient(row) for row in range(3)], axis=0) ** 2, gradient(0) ** 2], axis=0)
    found = fisher(Linear(), [linear_batch(3), linear_batch(1)], per="batch", granularity="scalar")
    assert found["w"].numpy() == pytest.approx(wanted)


def test_it_is_divided_by_the_sequences_really_seen() -> None:
    one = fisher(Linear(), [linear_batch(1)], sequences=300)["w"]
    assert float(one) == pytest.approx(float((gradient(0) ** 2).mean()))
    two = fisher(Linear(), [linear_batch(3)], sequences=2)["w"]
    assert float(two) == pytest.approx(float(np.mean([gradient(row) ** 2 for row in range(2)])))
    cut = fisher(Linear(), [linear_batch(3)], sequences=2, per="batch")["w"]
    assert float(cut) == pytest.approx(float((np.mean([gradient(row) for row in range(2)], axis=0) ** 2).mean()))


def test_on_a_language_model_it_is_one_backward_a_sequence() -> None:
    model, batches = tiny(), stream(0)
    total, seen = dict.fromkeys(dict(model.named_parameters()), 0.0), 0
    for batch in batches:
        for row in range(len(batch["input_ids"])):
            length = int(batch["attention_mask"][row].sum())
            tokens, labels = batch["input_ids"][row : row + 1, :length], batch["labels"][row : row + 1, :length]
            model.zero_grad()
            model(input_ids=tokens, labels=labels).loss.backward()
            seen += 1
            for name, tensor in model.named_parameters():
                total[name] += float(tensor.grad.double().square().mean())
    model.zero_grad()
    found = fisher(model, batches)
    assert {name: float(each) for name, each in found.items()} == pytest.approx(
        {name: each / seen for name, each in total.items()}, rel=1e-4
    )
    assert all(tensor.grad is None for tensor in model.parameters())


def test_sequences_of_which_nothing_is_learned_are_not_seen() -> None:
    batch = stream(0)[0]
    silent = {**batch, "labels": torch.full_like(batch["labels"], -100)}
    first = {**batch, "labels": torch.cat([batch["input_ids"][:, :1], silent["labels"][:, 1:]], dim=1)}
    model = tiny()
    assert fisher(model, [first, batch])["lm_head.weight"] == fisher(model, [batch])["lm_head.weight"]
    assert fisher(model, [silent, batch])["lm_head.weight"] == fisher(model, [batch])["lm_head.weight"]
    for per in ("sequence", "batch"):
        with pytest.raises(BadData, match=r"needs sequences of which something is learned, and there are none"):
            fisher(model, [silent], per=per)  # type: ignore[arg-type]


def test_batches_without_a_mask_are_taken_as_they_are() -> None:
    batch = {key: value for key, value in stream(0)[0].items() if key != "attention_mask"}
    assert [row["input_ids"].shape for row in rows_of(batch)] == [(1, 10), (1, 10)]


def test_a_gradient_that_overflows_is_told() -> None:
    model = Linear()
    with torch.no_grad():
        model.w.fill_(1e38)
    with pytest.raises(HoldfastError, match=r"the Fisher information of 'w' is no number: gradients overflow"):
        fisher(model, [linear_batch(3)])


@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 3, 4), (1, 1)])
def test_lengths_are_root_mean_squares_or_norms(shape: tuple[int, ...]) -> None:
    delta = torch.randn(shape)
    flat = delta.double().numpy().reshape(shape[0], -1)
    assert float(moved(delta).length) == pytest.approx(np.sqrt((flat**2).mean()))
    assert float(moved(delta, length="norm").length) == pytest.approx(np.linalg.norm(flat))
    assert moved(delta, "row").length.numpy() == pytest.approx(np.sqrt((flat**2).mean(axis=1)))
    assert moved(delta, "row", "norm").length.numpy() == pytest.approx(np.linalg.norm(flat, axis=1))
    assert torch.allclose(moved(delta, "scalar").length, delta.abs())
    assert torch.allclose(moved(delta, "scalar", "norm").length, delta.abs())


def test_the_share_of_entries_that_stay_is_told() -> None:
    assert moved(torch.tensor([0.0, 1.0, 0.0, -2.0])).zero_frac == 0.5


def test_checkpoints_are_compared_in_any_order_of_their_tensors() -> None:
    start = {name: torch.randn(3, 4) for name in "abc"}
    end = {name: start[name] + 1e-3 * torch.randn(3, 4) for name in "cab"}
    found = score_deltas(start, end)
    assert found == {name: score_deltas({name: start[name]}, {name: end[name]})[name] for name in end}
    with pytest.raises(HoldfastError, match=r"'d' is not in both models with one shape"):
        score_deltas(start, {"d": torch.zeros(2)})
