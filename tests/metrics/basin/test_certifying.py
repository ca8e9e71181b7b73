"""Certificates: their numbers, what they hold on a model that is known, and when they are vacuous."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from holdfast.metrics.basin.bounds import strong_bound, weak_bound
from holdfast.metrics.basin.certifying import Noise, certify_score, certify_share
from holdfast.metrics.basin.clopper_pearson import lower_limit
from holdfast.metrics.basin.mean_limits import mean_limit

SMALL = Noise(0.003)


def test_a_share_is_certified_from_its_exact_lower_limit() -> None:
    scores = [0.8] * 48 + [0.2] * 2
    found = certify_share(SMALL, scores, 0.8, sigmas=0.5, ability="logic")
    limit = lower_limit(48, 50, 0.99)
    assert (found.p_lower, found.directions, found.about, found.threshold) == (limit, 50, "share", 0.8)
    assert found.p_lower == pytest.approx(0.842296, abs=1e-6)
    assert found.strong == strong_bound(limit, 0.5)
    assert found.weak == weak_bound(limit, 0.5)
    assert found.displacement == pytest.approx(0.0015)
    assert found.ratio == pytest.approx(0.0015 / (found.radius or 0))
    assert found.score_floor == pytest.approx(0.8 * strong_bound(limit, 0.5))


def test_a_score_is_certified_from_a_limit_and_never_from_its_mean() -> None:
    scores = np.random.default_rng(0).beta(90, 10, size=200)
    found = certify_score(SMALL, scores.tolist(), keep=0.5)
    assert found.p_lower == mean_limit(scores, 0.99) < scores.mean() - 0.01
    assert (found.displacement, found.strong, found.weak, found.ratio) == (None, None, None, None)
    assert not found.vacuous


def test_a_long_displacement_is_vacuous_and_says_so() -> None:
    line = certify_share(SMALL, [1.0] * 50, 1.0, sigmas=0.087 / 0.003).line
    assert line == (
        "sigma 0.003 on all weights; p_lower 0.9120 (0.99 confidence, Clopper-Pearson, 50 directions); radius 0.00406 "
        "keeps the smoothed share of directions that score 1 or more at 0.5; displacement 0.087, 21.43 radii, at which "
        "0.0000 is kept; vacuous (chance is 0). It bounds the model under noise, never the fine-tuned model itself."
    )


def test_a_bound_above_zero_and_below_chance_is_vacuous() -> None:
    scores = [0.9] * 400
    kept = certify_score(SMALL, scores, sigmas=1.0).strong or 0
    assert 0.3 < kept < 0.7
    assert not certify_score(SMALL, scores, sigmas=1.0, chance=0.25).vacuous
    vacuous = certify_score(SMALL, scores, sigmas=1.0, chance=kept)
    assert vacuous.vacuous
    assert "vacuous (chance is" in vacuous.line


def test_a_base_that_does_not_keep_it_has_no_radius() -> None:
    found = certify_score(SMALL, [0.4] * 100, keep=0.5)
    assert (found.radius, found.vacuous) == (None, True)
    assert "no radius: p_lower is not above the 0.5 to be kept; vacuous. It bounds" in found.line


def test_certificates_of_a_half_space_hold_as_often_as_they_say() -> None:
    generator, margin, moved, level = np.random.default_rng(1), 1.5, 0.8, 0.9
    truth = float(ndtr(margin - moved))
    good = 0
    for _ in range(300):
        scores = (margin + generator.standard_normal(40) > 0).astype(float)
        found = certify_share(SMALL, scores.tolist(), 1.0, sigmas=moved, level=level)
        good += (found.strong or 0) <= truth
    assert good / 300 >= level


def test_a_space_is_named() -> None:
    found = certify_score(Noise(0.1, "B of an adapter, A frozen"), [1.0] * 100, sigmas=0.0)
    assert found.line.startswith("sigma 0.1 on B of an adapter, A frozen; ")
    assert found.strong == pytest.approx(found.p_lower)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Noise(0.0), "a finite number above 0, found 0"),
        (lambda: Noise(-1.0), "a finite number above 0, found -1"),
        (lambda: certify_share(SMALL, [], 0.5), "found no directions"),
        (lambda: certify_score(SMALL, []), "found no directions"),
        (lambda: certify_score(SMALL, [1.2]), "scores lie within 0 and 1, found 1.2"),
        (lambda: certify_share(SMALL, [1.0], 1.5), "a score to be reached lies within 0 and 1, found 1.5"),
        (lambda: certify_share(SMALL, [1.0], 0.5, sigmas=-1), "at least 0 sigmas, found -1"),
    ],
)
def test_certificates_of_nothing_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
