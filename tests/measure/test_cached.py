"""What is run once for many rows is what each row would have been on its own."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import moved, tuner
from torch import Tensor
from transformers import BloomConfig, Gemma3Config, PreTrainedModel

from holdfast.measure.cached import (
    SHARED_MIN_TOKENS,
    Rows,
    go_on,
    logits_of,
    one_by_one,
    room,
    run,
    shared_length,
)
from holdfast.testing.laws import small_model
from holdfast.weights.quiet import quiet

Row = tuple[int, ...]


def some(length: int, seed: int = 0) -> Row:
    return tuple(random.Random(seed).choices(range(3, 128), k=length))


def rows_with(shared: int, lengths: tuple[int, ...] = (3, 9, 9, 1, 22)) -> list[Row]:
    return [(*some(shared), 3 + i, *some(length, seed=i + 1)) for i, length in enumerate(lengths)]


def alone(model: PreTrainedModel, row: Row) -> Tensor:
    """Logits after every token of a row, by one pass over nothing but the row."""
    return model(input_ids=torch.tensor([row])).logits[0, -len(row) :]


def assert_said(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))


@torch.inference_mode()
@pytest.mark.parametrize("shared", [0, SHARED_MIN_TOKENS - 1, SHARED_MIN_TOKENS, 17])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_rows_run_together_say_what_each_says_alone(any_model: PreTrainedModel, shared: int, count: int) -> None:
    rows = rows_with(shared)[:count]
    found = run(any_model, rows, 0)
    assert found.last.shape == (count, 128) and found.last.dtype == torch.float32
    assert found.mask.sum(1).tolist() == list(map(len, rows))
    for i, row in enumerate(rows):
        assert_said(found.last[i], alone(any_model, row)[-1])


@torch.inference_mode()
@pytest.mark.parametrize("shared", [0, 17])
def test_rows_that_go_on_step_by_step_say_what_they_say_at_once(any_model: PreTrainedModel, shared: int) -> None:
    rows = rows_with(shared)
    found = run(any_model, rows, 0)
    for step in range(3):
        rows = [(*row, 50 + step + i) for i, row in enumerate(rows)]
        found = go_on(any_model, found, [row[-1:] for row in rows], 0)
    found = go_on(any_model, found, [(7, 8)] * len(rows), 0)
    for i, row in enumerate(rows):
        assert_said(found.last[i], alone(any_model, (*row, 7, 8))[-1])


@torch.inference_mode()
@pytest.mark.parametrize("shared", [0, 17])
@pytest.mark.parametrize("counts", [[1, 1, 1, 1, 1], [0, 2, 0, 1, 3], [0, 0, 0, 0, 1]])
def test_logits_of_rows_that_go_on_from_some_rows_several_times(
    any_model: PreTrainedModel, shared: int, counts: list[int]
) -> None:
    rows = rows_with(shared)
    found = run(any_model, rows, 0).repeated(counts)
    origins = [row for row, count in zip(rows, counts, strict=True) for _ in range(count)]
    assert found.mask.sum(1).tolist() == list(map(len, origins))
    further = [some(1 + 5 * (i % 3), seed=40 + i) for i in range(len(origins))]
    for i, logits in enumerate(logits_of(any_model, found, further, 0)):
        wanted = alone(any_model, origins[i] + further[i])[len(origins[i]) :]
        assert_said(logits[: len(further[i])], wanted)


@torch.inference_mode()
@pytest.mark.parametrize("shared", [0, 17])
def test_virtual_tokens_are_read_once_and_before_every_row(prompt_learner: Any, shared: int) -> None:
    rows = rows_with(shared)
    batches = [[row] for row in rows] if one_by_one(prompt_learner) else [rows]
    for batch in batches:
        found = run(prompt_learner, batch, 0)
        assert found.mask.sum(1).tolist() == [5 + len(row) for row in batch]
        for i, row in enumerate(batch):
            assert_said(found.last[i], alone(prompt_learner, row)[-1])
        further = [some(1 + 2 * i, seed=60 + i) for i in range(len(batch))]
        for i, logits in enumerate(logits_of(prompt_learner, found, further, 0)):
            wanted = alone(prompt_learner, batch[i] + further[i])[len(batch[i]) :]
            assert_said(logits[: len(further[i])], wanted)


def test_rows_go_one_by_one_only_where_a_gap_behind_virtual_tokens_is_minded(prompt_learner: Any) -> None:
    assert one_by_one(prompt_learner) == ("Mistral" in type(prompt_learner.get_base_model()).__name__)


def test_rows_without_virtual_tokens_need_not_go_one_by_one(any_model: PreTrainedModel) -> None:
    assert not one_by_one(any_model)


@torch.inference_mode()
@pytest.mark.parametrize("length", [SHARED_MIN_TOKENS - 1, SHARED_MIN_TOKENS, 30])
def test_a_shared_beginning_is_run_once_if_it_is_long_enough(model: PreTrainedModel, passes: Any, length: int) -> None:
    rows, seen = rows_with(length), passes(model)
    run(model, rows, 0)
    longest = max(map(len, rows))
    assert seen == ([(5, longest)] if length < SHARED_MIN_TOKENS else [(1, length), (5, longest - length)])


@torch.inference_mode()
def test_of_equal_rows_the_last_token_is_run_for_each(model: PreTrainedModel, passes: Any) -> None:
    seen = passes(model)
    run(model, [some(20)] * 3, 0)
    run(model, [some(20)], 0)
    assert seen == [(1, 19), (3, 1), (1, 20)]


@torch.inference_mode()
def test_logits_are_float32_whatever_the_model(model: PreTrainedModel) -> None:
    found = run(model.bfloat16(), rows_with(17), 0)
    assert found.last.dtype == torch.float32
    for i, row in enumerate(rows_with(17)):
        wanted = alone(model, row)[-1].float()
        assert float((found.last[i] - wanted).abs().max()) < 0.05 * float(wanted.abs().max())


class Kept:
    def __init__(self) -> None:
        self.indices: list[list[int]] = []

    def reorder_cache(self, index: Tensor) -> None:
        self.indices.append(index.tolist())


def test_repeated_rows_take_their_mask_and_their_logits_along() -> None:
    cache = Kept()
    rows = Rows(cache, torch.arange(6).view(3, 2), torch.arange(3.0)[:, None]).repeated([2, 0, 1])
    assert cache.indices == [[0, 0, 2]]
    assert rows.mask.tolist() == [[0, 1], [0, 1], [4, 5]]
    assert rows.last.tolist() == [[0.0], [0.0], [2.0]]


@given(st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=5))
def test_what_rows_share_leaves_a_token_of_each(texts: list[str]) -> None:
    shortest = min(texts, key=len)
    wanted = max(n for n in range(len(shortest)) if all(text.startswith(shortest[:n]) for text in texts))
    assert shared_length([tuple(map(ord, text)) for text in texts]) == wanted


def test_a_model_has_room_for_what_it_was_made_for_less_its_virtual_tokens(model: PreTrainedModel) -> None:
    assert room(model) == 64
    assert room(SimpleNamespace(config=BloomConfig())) is None
    assert room(SimpleNamespace(config=Gemma3Config(text_config={"max_position_embeddings": 77}))) == 77
    for method, wanted in ((tuner("prompt_tuning", num_virtual_tokens=5), 59), (tuner("loha"), 64)):
        with quiet():
            assert room(moved(method, small_model()).model) == wanted
