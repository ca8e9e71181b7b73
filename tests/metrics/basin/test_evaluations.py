"""What a model is asked for, that nothing is asked twice, and scores that are none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from holdfast.metrics.basin.evaluations import Evaluations, panel


class Asked:
    """A model that answers an item as long as sigma is below its number, and keeps a list of what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, int, tuple[int, ...]]] = []

    def __call__(self, sigma: float, direction_seed: int, items: Sequence[int]) -> list[float]:
        self.calls.append((sigma, direction_seed, tuple(items)))
        return [float(sigma <= item) for item in items]


def test_every_answer_is_asked_for_once_and_counted() -> None:
    asked = Asked()
    evaluations = Evaluations(asked, 4)
    assert evaluations.scores(1.5, 3, [2, 1]).tolist() == [1, 0]
    assert evaluations.scores(1.5, 3).tolist() == [0, 0, 1, 1]
    assert evaluations.scores(1.5, 3, [3, 3]).tolist() == [1, 1]
    assert asked.calls == [(1.5, 3, (1, 2)), (1.5, 3, (0, 3))]
    assert evaluations.scored_items == 4


def test_a_drop_is_taken_in_pairs_with_the_model_as_it_is() -> None:
    evaluations = Evaluations(Asked(), 4)
    assert evaluations.drop(2.5, 0) == pytest.approx(3 / 4)
    assert evaluations.drop(2.5, 0, [0, 3]) == pytest.approx(1 / 2)


def test_self_noise_is_the_share_that_is_graded_otherwise_when_asked_again() -> None:
    evaluations = Evaluations(lambda sigma, seed, items: [float(item != seed) for item in items], 4)
    assert evaluations.self_noise() == 0.5
    assert Evaluations(Asked(), 4).self_noise() == 0


def test_panels_are_the_same_for_a_seed_and_cover_all_items_alike() -> None:
    assert panel(5, 20, 4).tolist() == panel(5, 20, 4).tolist()
    assert panel(5, 3, 4).tolist() == [0, 1, 2]
    drawn = np.stack([panel(seed, 20, 4) for seed in range(2000)])
    assert (np.diff(drawn, axis=1) > 0).all()
    assert np.bincount(drawn.ravel()) == pytest.approx(np.full(20, 400), abs=5 * 400**0.5)


def test_a_suite_without_items_is_refused() -> None:
    with pytest.raises(ValueError, match="a basin needs items to be asked, found none: give a suite"):
        Evaluations(Asked(), 0)


@pytest.mark.parametrize("bad", [1.5, -0.1, np.nan])
def test_a_score_outside_of_0_and_1_is_refused_and_not_kept(bad: float) -> None:
    evaluations = Evaluations(lambda sigma, seed, items: [bad for _ in items], 2)
    for _ in range(2):
        with pytest.raises(
            ValueError, match=rf"at sigma 0\.1, direction 7: a score lies outside of \[0, 1\], found {bad}"
        ):
            evaluations.scores(0.1, 7)


def test_an_answer_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"asked for 2 items, found scores of shape \(1,\)"):
        Evaluations(lambda sigma, seed, items: [1.0], 2).scores(0.1, 7)


def test_a_negative_sigma_is_refused() -> None:
    with pytest.raises(ValueError, match="a finite number above 0, found -1"):
        Evaluations(Asked(), 2).scores(-1, 0)
