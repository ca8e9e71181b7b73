"""Sequential tests: false verdicts in 2,000 simulations, sample sizes, and a slow account of every bet."""

from __future__ import annotations

from math import lgamma, log

import numpy as np
import pytest

from holdfast.metrics.basin.sequential import (
    BETS,
    BetaMixture,
    Betting,
    SequentialTest,
    Sprt,
    decide,
    decide_all,
)

RUNS = 2000


def bernoulli(p: float, n: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((RUNS, n)) < p).astype(float)


@pytest.mark.parametrize("test", [Sprt(), BetaMixture(), Betting(0.9)], ids=lambda test: type(test).__name__)
def test_a_share_at_the_threshold_is_called_inside_no_more_often_than_the_error(test: SequentialTest) -> None:
    verdicts, _ = decide_all(test, bernoulli(0.9, 400), 0.01)
    # Four standard errors of 1 % in 2,000 runs; the observed rates lie below 1 %.
    assert verdicts.count("inside") / RUNS <= 0.01 + 4 * (0.01 * 0.99 / RUNS) ** 0.5


@pytest.mark.parametrize("test", [BetaMixture(), Betting(0.9)], ids=lambda test: type(test).__name__)
def test_a_share_at_the_threshold_is_called_outside_no_more_often_than_the_error(test: SequentialTest) -> None:
    verdicts, _ = decide_all(test, bernoulli(0.9, 400), 0.05)
    assert verdicts.count("outside") / RUNS <= 0.05


def test_wald_calls_a_share_at_its_alternative_outside_no_more_often_than_the_error() -> None:
    verdicts, _ = decide_all(Sprt(), bernoulli(0.99, 600), 0.01)
    assert verdicts.count("outside") / RUNS <= 0.01


@pytest.mark.parametrize(
    ("test", "p", "mean"),
    [
        *[(Sprt(), 1, 49), (Sprt(), 0.99, 65), (Sprt(), 0.85, 21), (Sprt(), 0.5, 5.5), (Sprt(), 0, 2)],
        *[(BetaMixture(), 1, 87), (BetaMixture(), 0.99, 116), (BetaMixture(), 0.5, 11.5), (BetaMixture(), 0, 3)],
    ],
)
def test_directions_needed_equal_the_simulated_ones(test: SequentialTest, p: float, mean: float) -> None:
    _, stops = decide_all(test, bernoulli(p, 400), 0.01)
    assert stops.mean() == pytest.approx(mean, rel=0.05)


def test_wald_decides_either_way_between_its_shares() -> None:
    verdicts, _ = decide_all(Sprt(), bernoulli(0.95, 900), 0.01)
    assert 0.2 < verdicts.count("inside") / RUNS < 0.4


@pytest.mark.parametrize("spread", [0.5, 5, 200])
def test_means_of_scores_are_called_wrongly_no_more_often_than_the_error(spread: float) -> None:
    mean = 0.7
    trials = np.random.default_rng(3).beta(mean * spread, (1 - mean) * spread, size=(RUNS, 200))
    verdicts, _ = decide_all(Betting(mean), trials, 0.05)
    assert verdicts.count("inside") / RUNS <= 0.05
    assert verdicts.count("outside") / RUNS <= 0.05


def test_items_that_share_a_direction_do_no_harm_by_direction_and_do_by_item() -> None:
    generator, items, error = np.random.default_rng(4), 16, 0.05
    runs, directions = 500, 40
    # Of a direction's items nearly all are answered, or nearly none: a design effect of about 13.
    kept = generator.beta(0.3 * 0.25, 0.7 * 0.25, size=(runs, directions, 1))
    answers = (generator.random((runs, directions, items)) < kept).astype(float)
    by_direction, _ = decide_all(Betting(0.3), answers.mean(axis=-1), error)
    by_item, _ = decide_all(Betting(0.3), answers.reshape(runs, -1), error)
    wrong = [sum(verdict != "undecided" for verdict in verdicts) / runs for verdicts in (by_direction, by_item)]
    assert wrong[0] <= 2 * error
    assert wrong[1] > 0.4


def test_scores_that_vary_little_are_decided_sooner() -> None:
    generator = np.random.default_rng(5)
    calm = generator.beta(0.9 * 400, 0.1 * 400, size=(200, 500))
    wild = (generator.random((200, 500)) < 0.9).astype(float)
    needed = [decide_all(Betting(0.8), trials, 0.01)[1].mean() for trials in (calm, wild)]
    assert needed[0] < 0.6 * needed[1]


def test_evidence_equals_an_account_kept_trial_by_trial() -> None:
    trials = np.random.default_rng(6).random(30).round(1)
    threshold = 0.4
    purses = [1 / len(BETS)] * len(BETS)
    account = []
    for trial in trials:
        purses = [purse * (1 + bet * (trial / threshold - 1)) for purse, bet in zip(purses, BETS, strict=True)]
        account.append(log(sum(purses)))
    above, _ = Betting(threshold).evidence(trials)
    assert above == pytest.approx(account)
    mirrored, _ = Betting(1 - threshold).evidence(1 - trials)
    assert Betting(threshold).evidence(trials)[1] == pytest.approx(mirrored)


def test_mixture_evidence_is_the_formula_in_the_books() -> None:
    trials = np.array([1, 1, 0, 1.0])
    above, below = BetaMixture(0.5).evidence(trials)
    expected = lgamma(4) + lgamma(2) - lgamma(6) - 4 * log(0.5)
    assert above[-1] == pytest.approx(expected)
    assert below[-1] == -np.inf
    assert above[2] == pytest.approx(lgamma(3) + lgamma(2) - lgamma(5) - 3 * log(0.5))


def test_a_bet_lost_whole_leaves_the_others() -> None:
    assert np.isfinite(Betting(0.5).evidence(np.zeros(20))[0]).all()


def test_a_decision_says_when_and_how_far() -> None:
    found = decide(Sprt(), np.array([1.0, 0, 0, 0, 1]), 0.01)
    assert (found.verdict, found.trials) == ("outside", 4)
    found = decide(BetaMixture(), np.ones(40), 0.01)
    assert (found.verdict, found.trials) == ("undecided", 40)
    assert 0 < found.progress < 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: decide(Sprt(), np.array([]), 0.01), "nothing to decide: no direction was tried"),
        (lambda: decide(Sprt(), np.array([0.5]), 0.01), "trials that are 0 or 1; test a mean with Betting"),
        (lambda: decide(Betting(0.5), np.array([1.5]), 0.01), "scores lie within 0 and 1, found 1.5"),
        (lambda: decide(Betting(0.5), np.array([np.nan]), 0.01), "scores lie within 0 and 1, found nan"),
        (lambda: decide(Sprt(), np.ones(1), 0.0), "a confidence level lies strictly within 0 and 1"),
        (lambda: Sprt(0.99, 0.9), "needs 0 < p0 < p1 < 1, found 0.99 and 0.9"),
        (lambda: BetaMixture(1.0), "strictly within 0 and 1, found 1.0"),
        (lambda: Betting(0.0), "strictly within 0 and 1, found 0.0"),
    ],
)
def test_what_cannot_be_tested_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
