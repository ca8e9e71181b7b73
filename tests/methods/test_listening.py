"""What goes through linear maps is seen whole, by however many processes it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from processes import launch
from torch import nn

from holdfast.core.errors import NotMeasurable
from holdfast.methods.listening import Text, largest

PROGRAM = Path(__file__).with_name("listeners.py")


def run(world: int, folder: Path) -> list[dict[Any, dict[str, torch.Tensor]]]:
    """What each process found."""
    launch(PROGRAM, world, folder)
    return [torch.load(folder / f"{world}.{rank}.pt") for rank in range(world)]


@pytest.mark.slow
def test_processes_that_read_a_batch_each_hold_what_one_holds_that_reads_both(tmp_path: Path) -> None:
    (one,), two = run(1, tmp_path), run(2, tmp_path)
    for found in two:
        assert found.keys() == one.keys()
        for case, masks in one.items():
            assert sum(int(chosen.sum()) for chosen in masks.values()) > 1000, case
            assert all(torch.equal(chosen, found[case][name]) for name, chosen in masks.items()), case


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 99))
def test_the_largest_are_an_exact_share_and_of_equal_ones_the_first(scores: list[int], percent: int) -> None:
    count = percent * len(scores) // 100
    wanted = sorted(sorted(range(len(scores)), key=lambda at: (-scores[at], at))[:count])
    assert largest(torch.tensor(scores).float(), percent / 100, "w").nonzero()[:, 0].tolist() == wanted


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_told(bad: float) -> None:
    with pytest.raises(NotMeasurable, match=r"units of 'w' cannot be ordered by what goes through them"):
        largest(torch.tensor([1.0, bad]), 0.5, "w")


class Shell(nn.Module):
    """Takes a mask by position or by name, and does nothing."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        return input_ids


def test_padding_is_left_out_by_whatever_mask_the_model_was_given_last() -> None:
    text, model = Text(), Shell()
    values = torch.arange(12.0).view(2, 3, 2)
    handle = text.follow(model)
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    for call in (lambda: model(values, attention_mask=mask), lambda: model(values, mask)):
        call()
        assert text.rows(values).tolist() == [[0, 1], [2, 3], [6, 7]]
        assert text.rows(values.bfloat16()).dtype == torch.float32
        # Tokens that have been sorted to experts have no place in the batch any more: all count.
        assert text.rows(values.reshape(6, 2)).shape == (6, 2)
        model(values)
        assert text.rows(values).shape == (6, 2)
    model(values, attention_mask=mask[:, None, None, :])
    assert text.rows(values).shape == (6, 2)
    handle.remove()
    model(values, attention_mask=mask)
    assert text.rows(values).shape == (6, 2)
