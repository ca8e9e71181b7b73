"""Curves, widths and certificates along a way meet what is known in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from transformers import PreTrainedModel

from holdfast.core.basin_recipe import BasinRecipe
from holdfast.core.errors import NotMeasurable, UnknownName
from holdfast.measure.basin.ability import Scored
from holdfast.measure.basin.asked import CERTIFICATE_SEEDS, CURVE_SEEDS, WIDTH_SEEDS, Notebook
from holdfast.measure.basin.curves import certified, check_forms, curves_along, width_from
from holdfast.measure.basin.ways import random_way
from holdfast.metrics.basin.certifying import Noise
from holdfast.metrics.basin.evaluations import Evaluations

from .conftest import expected

Threshold = Callable[..., Scored]
RECIPE = BasinRecipe(tau=0.3, level=0.8, most_directions=60)


def test_a_curve_is_what_noise_does(tiny: PreTrainedModel, threshold: Threshold) -> None:
    ability, sigmas = threshold(), (0.2, 1.0, 4.0)
    with random_way(tiny).walking() as walk:
        scores = Notebook("tiny").along(ability, walk)
        (found,) = curves_along([(ability, scores)], "random", sigmas, 60, 0.2)
    assert found.self_noise == 0 and found.base == 1 and not found.smooth
    for level in found.levels:
        assert level.mean == pytest.approx(expected(level.sigma), abs=0.12)
        assert len(level.seeds) == 60 and level.band is not None


def test_the_interval_of_a_width_holds_the_width(tiny: PreTrainedModel, threshold: Threshold) -> None:
    ability = threshold()
    with random_way(tiny).walking() as walk:
        scores = Notebook("tiny").along(ability, walk)
        (curve,) = curves_along([(ability, scores)], "random", (2.0, 8.0), 4, RECIPE.tau)
        found = width_from(curve, ability, scores, RECIPE)
    inside = [sigma for sigma in np.geomspace(0.1, 100, 400) if 1 - expected(sigma) <= RECIPE.tau]
    assert found.low is not None and found.high is not None
    assert found.low <= inside[-1] <= found.high and found.level == RECIPE.level
    # Along these four directions the curve has not fallen anywhere: the search begins furthest out.
    assert found.steps[0].sigma == 8.0 and all(curve.base - level.mean <= RECIPE.tau for level in curve.levels)


def test_curves_widths_and_certificates_have_directions_of_their_own(threshold: Threshold) -> None:
    seeds: list[int] = []

    def measure(sigma: float, direction_seed: int, items: Sequence[int]) -> list[float]:
        seeds.append(direction_seed)
        return [float(sigma < 1)] * len(items)

    ability, scores = threshold(), Evaluations(measure, 4)
    (curve,) = curves_along([(ability, scores)], "random", (0.5, 2.0, 4.0), 4, RECIPE.tau)
    assert sorted(set(seeds)) == list(range(CURVE_SEEDS, CURVE_SEEDS + 4))
    seeds.clear()
    # Where the curve fell first, the search begins.
    assert width_from(curve, ability, scores, RECIPE).steps[0].sigma == 2.0 and min(seeds) == WIDTH_SEEDS
    seeds.clear()
    certified(ability, scores, Noise(0.5), RECIPE)
    assert seeds == list(range(CERTIFICATE_SEEDS, CERTIFICATE_SEEDS + RECIPE.certificate_directions))


def test_likelihoods_have_no_width(tiny: PreTrainedModel) -> None:
    ability = Scored("texts", 1, lambda model, items: [0.5 for _ in items], key="texts", smooth=True)
    with random_way(tiny).walking() as walk:
        scores = Notebook("tiny").along(ability, walk)
        (curve,) = curves_along([(ability, scores)], "random", (0.5,), 2, 0.2)
        with pytest.raises(NotMeasurable, match="'texts' is scored by likelihoods, which fall from the first step on"):
            width_from(curve, ability, scores, RECIPE)
    assert curve.smooth


def test_certificates_rest_on_fresh_directions_and_their_floors_hold(
    tiny: PreTrainedModel, threshold: Threshold
) -> None:
    ability, sigma = threshold((1.0,)), 0.5
    with random_way(tiny).walking() as walk:
        scores = Notebook("tiny").along(ability, walk)
        share, score = certified(ability, scores, Noise(sigma), RECIPE, 1.0)
        assert scores.scored_items == 1 + RECIPE.certificate_directions
        (alone,) = certified(ability, scores, Noise(sigma), RECIPE, forms=("score",))
    truth = expected(sigma, (1.0,))
    for each in (share, score):
        assert each.p_lower < truth and each.strong is not None and each.level == 0.99
        # A half-space that is left along its normal keeps what the bound says of the truth, and so more than it says
        # of a lower limit.
        assert each.strong < expected(sigma, (1.0 - sigma,))
    assert (share.about, share.threshold) == ("share", 0.7) and score.about == "score" and alone.displacement is None


def test_no_certificates_are_made_that_nobody_asked_for(tiny: PreTrainedModel, threshold: Threshold) -> None:
    ability = threshold()
    with random_way(tiny).walking() as walk:
        scores = Notebook("tiny").along(ability, walk)
        assert certified(ability, scores, Noise(0.5), BasinRecipe(certificates=())) == ()
        assert scores.scored_items == ability.items


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ("lipschitz", r"greedy 0-1 score jumps, so that it has no finite one"),
        ("token", r"counterexample with two words"),
    ],
)
def test_statements_that_are_no_theorems_are_refused(form: str, reason: str) -> None:
    with pytest.raises(NotMeasurable, match=reason):
        check_forms(["share", form])


def test_an_unknown_certificate_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="certificate 'shares': did you mean 'share'"):
        check_forms(["shares"])
