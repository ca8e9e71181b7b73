"""Rotations keep every singular value all along their own path; the straight line through the weights does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small import METHODS, moved

from holdfast.testing.laws import small_model
from holdfast.weights.path import Path as Way
from holdfast.weights.paths.catalogue import path_of

LARGEST = 1e-5


def worst(way: Way, t: float, weights: dict[str, torch.Tensor]) -> float:
    """Largest move of a singular value, as a share of the largest of its weight."""
    found = []
    for name, change in way.at(t).items():
        before = torch.linalg.svdvals(weights[name].detach().double())
        after = torch.linalg.svdvals(weights[name].detach().double() + change.dense().double())
        found.append(float((after - before).abs().max() / before[0]))
    return max(found)


@pytest.mark.parametrize("name", ["oft", "hra"])
def test_rotations_keep_singular_values_on_their_own_path_and_not_on_the_dense_line(name: str, tmp_path: Path) -> None:
    base = small_model()
    attachment = moved(METHODS[name], base, by=0.3)
    attachment.save(tmp_path / name)
    initial = {key: tensor.clone() for key, tensor in attachment.initial().items()}
    attachment.detach()
    weights = dict(base.named_parameters())
    own = path_of(tmp_path / name, base, "own", initial)
    dense = path_of(tmp_path / name, base, "dense")
    for t in (0.25, 0.5, 0.75, 1.0):
        assert worst(own, t, weights) <= LARGEST
    assert worst(dense, 1.0, weights) <= LARGEST
    assert worst(dense, 0.5, weights) > 100 * LARGEST


def test_other_methods_move_singular_values_on_either(tmp_path: Path) -> None:
    base = small_model()
    attachment = moved(METHODS["lora"], base, by=0.3)
    attachment.save(tmp_path / "lora")
    attachment.detach()
    weights = dict(base.named_parameters())
    for label in ("additive", "dense"):
        assert worst(path_of(tmp_path / "lora", base, label), 0.5, weights) > 100 * LARGEST
