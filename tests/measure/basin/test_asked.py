"""Scores are asked once, kept, and never mixed up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import PreTrainedModel

from holdfast.measure.basin.ability import ROWS, Scored
from holdfast.measure.basin.asked import CERTIFICATE_SEEDS, CURVE_SEEDS, MATCHED_SEEDS, WIDTH_SEEDS, Notebook
from holdfast.measure.basin.ways import layer_ways, random_way
from holdfast.metrics.basin.questions import ITEMS_A_DIRECTION
from holdfast.metrics.basin.width import DIRECTIONS_APART, WidthSearch
from holdfast.weights.perturbing.sweep import perturbed
from holdfast.weights.rays import gaussian

Threshold = Callable[..., Scored]


def test_scores_are_those_of_the_model_that_was_moved(tiny: PreTrainedModel, threshold: Threshold) -> None:
    ability = threshold()
    with random_way(tiny).walking() as walk:
        found = Notebook("tiny").along(ability, walk)
        scores = {(sigma, seed): found.scores(sigma, seed) for sigma in (0.5, 2.0) for seed in (0, 1, 2)}
    for (sigma, seed), each in scores.items():
        with perturbed(tiny, gaussian(tiny, seed).update, sigma):
            assert each.tolist() == ability.ask(tiny, range(4))
    assert len({tuple(each) for each in scores.values()}) > 1


def test_what_is_on_disk_is_not_asked_again(tiny: PreTrainedModel, threshold: Threshold, tmp_path: Path) -> None:
    asked: list[Any] = []
    way, ability = random_way(tiny), threshold(asked=asked)

    def run(center: str = "tiny") -> list[list[float]]:
        with way.walking() as walk:
            found = Notebook(center, tmp_path).along(ability, walk)
            return [found.scores(sigma, 1, items).tolist() for sigma in (0.0, 1.0) for items in ([2], [0, 2, 3])]

    first = run()
    assert asked == [[2], [0, 3], [2], [0, 3]]
    assert run() == first and len(asked) == 4
    run("another")
    assert len(asked) == 8


def test_ways_and_abilities_have_files_of_their_own(
    tiny: PreTrainedModel, threshold: Threshold, tmp_path: Path
) -> None:
    for way in (random_way(tiny), *layer_ways(tiny)):
        for ability in (threshold(), threshold((1.0, 2.0))):
            with way.walking() as walk:
                Notebook("tiny", tmp_path).along(ability, walk).scores(1.0, 0)
    assert len(list(tmp_path.iterdir())) == 6


def test_the_untouched_model_is_asked_once_for_all_ways(tiny: PreTrainedModel, threshold: Threshold) -> None:
    asked: list[Any] = []
    notebook, ability = Notebook("tiny"), threshold(asked=asked)
    for way in (random_way(tiny), *layer_ways(tiny)):
        with way.walking() as walk:
            found = notebook.along(ability, walk)
            assert found.base().tolist() == [1.0] * 4 and found.self_noise() == 0
    assert asked == [[0, 1, 2, 3]] * 2


def test_the_untouched_model_is_asked_again_in_small_batches(tiny: PreTrainedModel) -> None:
    class Rows(Scored):
        def ask(self, model: PreTrainedModel, items: Sequence[int], rows: int = ROWS) -> list[float]:
            return [float(rows == ROWS)] * len(items)

    ability = Rows("rows", 8, lambda model, items: [], key="rows")
    with random_way(tiny).walking() as walk:
        found = Notebook("tiny").along(ability, walk)
        assert found.self_noise() == 1.0 and ITEMS_A_DIRECTION < ROWS
        np.testing.assert_array_equal(found.scores(0.5, 1), np.ones(8))


def test_a_function_that_leaves_0_and_1_is_told(tiny: PreTrainedModel) -> None:
    ability = Scored("wild", 2, lambda model, items: [1.5 for _ in items], key="wild")
    with random_way(tiny).walking() as walk, pytest.raises(ValueError, match=r"a score lies outside of \[0, 1\]"):
        Notebook("tiny").along(ability, walk).base()


def test_no_direction_is_looked_at_for_one_purpose_and_used_for_another() -> None:
    widths = WIDTH_SEEDS + WidthSearch().most_steps * DIRECTIONS_APART
    assert CURVE_SEEDS + 10**6 < WIDTH_SEEDS < widths < CERTIFICATE_SEEDS
    assert CERTIFICATE_SEEDS + 10**6 < MATCHED_SEEDS
