"""Two processes with half of every tensor each choose, hold and train exactly as one process does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from processes import launch

PROGRAM = Path(__file__).with_name("sharded.py")
EPI = "epi(ratio=0.03, first_refresh=1, interval=2)"
OTHERS = (
    "epi(ratio=0.03, first_refresh=1, interval=2, importance='adam_v', calibration='mean')",
    "random_mask(ratio=0.1, first_refresh=1, interval=2)",
    "hft(interval=2)",
    "gmt",
    "mofo",
    "lift(rank=8, interval=2)",
    "lota(calibration_steps=2)",
)


def train_alike(folder: Path, *specs: str) -> None:
    for world in (1, 2):
        launch(PROGRAM, world, folder, "parts", *specs)
    one, two = (torch.load(folder / f"{world}.0.pt") for world in (1, 2))
    assert list(one) == list(two) == list(specs)
    for spec, found in one.items():
        assert sum(int(chosen.sum()) for chosen in found["held"].values()) > 1000
        for what, tensors in found.items():
            for name, tensor in tensors.items():
                assert torch.equal(tensor, two[spec][what][name]), (spec, what, name)


def test_two_processes_train_with_epi_as_one(tmp_path: Path) -> None:
    train_alike(tmp_path, EPI)


@pytest.mark.slow
def test_two_processes_train_with_rivals_as_one(tmp_path: Path) -> None:
    train_alike(tmp_path, *OTHERS)


@pytest.mark.slow
def test_two_processes_with_a_copy_each_stay_alike(tmp_path: Path) -> None:
    """They read different texts, and choose by what both have read together."""
    launch(PROGRAM, 2, tmp_path, "copies", EPI)
    one, other = (torch.load(tmp_path / f"2.{rank}.pt")[EPI] for rank in (0, 1))
    assert sum(int(chosen.sum()) for chosen in one["held"].values()) > 1000
    for what, tensors in one.items():
        assert all(torch.equal(tensor, other[what][name]) for name, tensor in tensors.items())
