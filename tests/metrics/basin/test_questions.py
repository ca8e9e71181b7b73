"""What one direction says to each question, and bases of which nothing can be asked."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.basin.evaluations import Evaluations, panel
from holdfast.metrics.basin.questions import MeanScore, Question, SoftDrop, StrictShare
from holdfast.metrics.basin.sequential import BetaMixture, Betting


def model(items: int = 10, lost: int = 3) -> Evaluations:
    """A model that answers all but its last item, and under noise none of the first few."""
    return Evaluations(
        lambda sigma, seed, asked: [float(item < items - 1 and (sigma == 0 or item >= lost)) for item in asked], items
    )


def test_a_soft_trial_is_the_paired_drop_of_a_few_items_brought_to_0_and_1() -> None:
    question = SoftDrop(0.05, items_a_direction=4)
    lost = np.mean([item < 3 for item in panel(11, 10, 4)])
    evaluations = model()
    assert question.trial(evaluations, 0.1, 11) == pytest.approx((1 - lost) / 2)
    assert evaluations.scored_items == 8
    assert question.test == Betting(0.475)
    assert question.estimate(np.array([0.5, 0.3])) == pytest.approx(0.2)


def test_soft_trials_are_right_on_average_though_each_asks_a_few_items() -> None:
    question = SoftDrop(items_a_direction=2)
    trials = np.array([question.trial(model(), 0.1, seed) for seed in range(800)])
    assert question.estimate(trials) == pytest.approx(0.3, abs=0.05)


def test_a_strict_trial_asks_all_items_whether_the_base_is_reached() -> None:
    assert StrictShare().trial(model(lost=0), 0.1, 0) == 1
    assert StrictShare().trial(model(lost=1), 0.1, 0) == 0
    assert StrictShare(margin=0.1).trial(model(lost=1), 0.1, 0) == 1
    assert StrictShare(0.1, BetaMixture(0.8)).label == (
        "share of at least 0.8 of directions that score as the base does less 0.1"
    )


def test_a_mean_score_is_asked_against_a_floor() -> None:
    question = MeanScore(0.8, items_a_direction=10)
    assert question.trial(model(), 0.1, 0) == pytest.approx(0.6)
    assert (question.test, question.label) == (Betting(0.8), "mean score of at least 0.8")


@pytest.mark.parametrize(
    ("question", "chance", "message"),
    [
        (SoftDrop(0.5), 0.45, r"scores 0\.9, a guess 0\.45, so that 0\.5 cannot be lost"),
        (MeanScore(0.95), 0.0, r"a score of 0\.95 is to be kept, the model as it is has 0\.9"),
        (MeanScore(0.2), 0.25, r"and a guess 0\.25"),
        (StrictShare(0.3), 0.7, r"scores 0\.9, less 0\.3 no better than a guess"),
    ],
)
def test_bases_that_no_distance_could_bring_outside_are_refused(
    question: Question, chance: float, message: str
) -> None:
    question.check(model(), 0.1) if not isinstance(question, MeanScore) else None
    with pytest.raises(NotMeasurable, match=message):
        question.check(model(), chance)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SoftDrop(1.0), r"a tolerance lies in \[0, 1\), found 1\.0"),
        (lambda: SoftDrop(items_a_direction=0), "at least one item, found 0"),
        (lambda: MeanScore(items_a_direction=0), "at least one item, found 0"),
        (lambda: StrictShare(-0.1), r"a margin lies in \[0, 1\), found -0\.1"),
    ],
)
def test_questions_that_are_none_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
