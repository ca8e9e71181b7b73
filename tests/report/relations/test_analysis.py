"""Every measure is set against forgetting, and what was not measured is named."""

from __future__ import annotations

import pytest
from scipy import stats

from holdfast.core.errors import NotMeasurable
from holdfast.core.foretelling import SIZE, LeftOut
from holdfast.metrics.correlation import Estimate, Undefined
from holdfast.report.relations.analysis import left_out, missing, related

CKA = "cka_biased/general"


def test_size_comes_first_then_the_strongest_and_what_is_undefined_last(build) -> None:
    answer = related(build(constant=["diagonal_frac"]), 50)
    assert [relation.measure for relation in answer.relations] == [SIZE, CKA, "stable_rank", "diagonal_frac"]
    assert answer.size.measure == SIZE
    assert [relation.measure for relation in answer.others] == [CKA, "stable_rank", "diagonal_frac"]
    assert missing(answer.found) == ("energy_seen_frac",)


def test_correlations_with_forgetting_and_with_gain_are_those_of_scipy(found, answer) -> None:
    rows = found.checkpoints
    cka = [row.measures[CKA] for row in rows]
    of_forgetting, of_gain = answer.others[0].pearson, answer.with_gain[CKA]
    assert isinstance(of_forgetting, Estimate) and isinstance(of_gain, Estimate)
    assert of_forgetting.value == pytest.approx(stats.pearsonr(cka, [row.forgetting for row in rows]).statistic)
    assert of_gain.value == pytest.approx(stats.pearsonr(cka, [row.gain for row in rows]).statistic)


def test_families_keep_their_checkpoints_in_order(answer) -> None:
    assert list(answer.families) == [f"method {number}" for number in range(6)]
    assert [row.seed for row in answer.families["method 3"]] == [0, 1, 2]


def test_a_gain_that_is_the_same_everywhere_leaves_a_reason(found) -> None:
    same = [row.model_copy(update={"gain": 1.0}) for row in found.checkpoints]
    answer = related(found.model_copy(update={"checkpoints": tuple(same)}), 50)
    assert answer.with_gain[CKA] == Undefined("undefined: the outcome is 1 in all 18 checkpoints")
    assert isinstance(answer.others[0].pearson, Estimate)


def test_intervals_without_draws_say_so(build) -> None:
    assert related(build(draws=0), 50).size.outcome_noise_included is False


@pytest.mark.parametrize("kept", [0, 2])
def test_too_few_checkpoints_are_refused_with_what_was_not_measured(found, kept: int) -> None:
    few = found.model_copy(
        update={
            "checkpoints": found.checkpoints[:kept],
            "left_out": (LeftOut(family="norms", seed=1, step=10, reason="no matrix"),),
        }
    )
    with pytest.raises(NotMeasurable) as caught:
        related(few)
    assert str(caught.value) == (
        f"a correlation needs at least 3 measured checkpoints, found {kept}; not measured: norms seed 1 step 10 "
        "(no matrix)"
    )


def test_what_was_not_measured_is_told_once_a_reason(found) -> None:
    told = found.model_copy(
        update={
            "left_out": (
                LeftOut(family="norms", seed=1, step=10, reason="no matrix"),
                LeftOut(family="norms", seed=2, step=10, reason="no matrix"),
                LeftOut(family="full", seed=1, reason="diverged"),
            )
        }
    )
    assert left_out(told) == ("norms seed 1 step 10, norms seed 2 step 10 (no matrix)", "full seed 1 (diverged)")
