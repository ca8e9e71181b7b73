"""Points of a path are compared only where they lie on one way and were asked the same items."""

from __future__ import annotations

import numpy as np
import pytest
from curves import candidates, curve, level_curve, scores

from holdfast.core.errors import NotMeasurable
from holdfast.core.scores import TaskScores
from holdfast.metrics.operating_point.candidates import Candidate, Curve, ItemScores, combine
from holdfast.metrics.tradeoff import UnusableScores


def refused(points: list[Candidate]) -> str:
    with pytest.raises(UnusableScores) as caught:
        Curve.through(points)
    return str(caught.value)


def test_candidates_are_put_in_order() -> None:
    points = candidates(level_curve([0, 0.5, 1]))
    assert [each.t for each in Curve.through([points[2], points[0], points[1]]).candidates] == [0, 0.5, 1]


@pytest.mark.parametrize(("t", "found"), [([0, 0.5], "0, 0.5"), ([0.5, 1], "0.5, 1")])
def test_base_and_end_are_always_among_them(t: list[float], found: str) -> None:
    assert refused(candidates([[0.0], [0.0]], t, steps=t)) == (
        "candidates along a path: the base (t = 0) and the finished model (t = 1) are always among them, "
        f"found t = {found}; evaluate both"
    )


def test_no_candidates_are_refused() -> None:
    assert "found t = nothing; evaluate both" in refused([])


def test_a_point_is_given_once() -> None:
    message = refused(candidates([[0.0]] * 4, [0, 0.5, 0.5, 1]))
    assert message == "candidates along a path: t = 0.5 is there twice; give each point once"


@pytest.mark.parametrize("steps", [[0, 1.2, 1], [0.1, 0.5, 1], [0, 0.5, 0.9], [0, float("nan"), 1], [0, -0.2, 1]])
def test_steps_lead_from_base_to_end(steps: list[float]) -> None:
    assert "the relative step is 0 at the base, 1 at the end, and between them on the way" in refused(
        candidates([[0.0]] * 3, steps=steps)
    )


def test_a_step_may_miss_its_end_by_rounding() -> None:
    assert len(curve([[0.0]] * 3, steps=[1e-9, 1 + 1e-9, 1 - 1e-9]).candidates) == 3


def test_all_points_have_the_same_kept_tasks() -> None:
    points = candidates([[0.0], [0.0]], kept={"logic": [[1.0], [1.0]]})
    points[1] = Candidate(1, 1, points[1].target, {})
    assert refused(points) == (
        "candidates along a path: 'logic' is not scored at every point; t = 1 differs from the base"
    )


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (
            scores([0.0, 1.0, 1.0]),
            "the items are not those of the base; ask all points the same items in the same order",
        ),
        (scores([0.0, float("nan")]), "some scores are not finite"),
        (scores([0.0, 1.0], [1, 0]), "weights must be finite and above 0"),
        (scores([0.0, 1.0], [1, 2]), "the weights of the items are not those of the base"),
        (scores([0.0, 1.0], unit="nats/token"), "the unit is nats/token, and that of the base is frac"),
        (scores([0.0, 1.0], [1]), "one score and one weight an item, found shapes (2,) and (1,)"),
        (scores([]), "one score and one weight an item, found shapes (0,) and (0,)"),
        (
            ItemScores(np.zeros(2), np.ones(2), ids=("a", "b")),
            "the items are not those of the base; ask all points the same items in the same order",
        ),
    ],
)
def test_items_are_those_of_the_base(other: ItemScores, why: str) -> None:
    base = scores([0.0, 1.0])
    points = [Candidate(0, 0, base, {"logic": base}), Candidate(1, 1, base, {"logic": other})]
    assert refused(points) == f"candidates along a path: logic at t = 1: {why}"


def test_kl_is_a_number() -> None:
    assert refused(candidates([[0.0], [0.0]], kl_nats=[None, float("inf")])).endswith("KL at t = 1 is not finite")


def test_gain_and_forgetting_are_counted_from_the_base_by_weight() -> None:
    found = curve(
        [[0.0, 0.0], [1.0, 0.0]],
        weights=[3, 1],
        kept={"logic": [[1.0, 1.0], [0.0, 1.0]], "recall": [[1.0], [0.75]]},
        kept_weights={"logic": [1, 4]},
    )
    assert found.gain.values == pytest.approx([0, 0.75])
    assert found.forgetting.values == pytest.approx([0, (0.2 + 0.25) / 2])


def test_forgetting_is_that_of_graded_tasks_where_there_are_any() -> None:
    kept = {"text": [[-1.0], [-3.0]], "logic": [[1.0], [0.5]]}
    mixed = curve([[0.0], [0.0]], kept=kept, units={"text": "nats/token"})
    assert mixed.headline == ("logic",)
    assert mixed.forgetting.values == pytest.approx([0, 0.5])
    texts = curve([[0.0], [0.0]], kept={"text": kept["text"]}, units={"text": "nats/token"})
    assert texts.forgetting.values == pytest.approx([0, 2.0])


def test_forgetting_is_undefined_where_nobody_looked() -> None:
    with pytest.raises(NotMeasurable) as caught:
        _ = curve([[0.0], [0.0]]).forgetting
    assert str(caught.value) == (
        "undefined: forgetting needs scores on a task to be kept, and the candidates have none"
    )


def test_what_an_evaluation_returns_becomes_a_candidate() -> None:
    task = TaskScores(task="cant", ask="generate", unit="frac", ids=("a", "b"), values=(0, 1), weights=(1, 3))
    found = ItemScores.of(task)
    assert (found.values.tolist(), found.weights.tolist(), found.unit, found.ids) == (
        [0, 1],
        [1, 3],
        "frac",
        ("a", "b"),
    )
    some = found.only(np.array([1]))
    assert (some.values.tolist(), some.weights.tolist(), some.ids) == ([1], [3], ("b",))


def test_several_targets_count_alike_whatever_their_size() -> None:
    small = TaskScores(task="cant", ask="generate", unit="frac", ids=("a",), values=(1,), weights=(1,))
    large = TaskScores(task="query", ask="generate", unit="frac", ids=("a", "b"), values=(0, 0), weights=(7, 7))
    both = combine([small, large])
    assert both.ids == ("cant/a", "query/a", "query/b")
    assert np.average(both.values, weights=both.weights) == 0.5


def test_targets_of_two_units_are_not_combined() -> None:
    graded = TaskScores(task="cant", ask="generate", unit="frac", ids=("a",), values=(1,), weights=(1,))
    text = TaskScores(task="prose", ask="read", unit="nats/token", ids=("a",), values=(-1,), weights=(9,))
    with pytest.raises(UnusableScores) as caught:
        combine([graded, text])
    assert str(caught.value) == (
        "a target is made of tasks of one unit, found frac and nats/token; choose by one of them"
    )
    with pytest.raises(UnusableScores, match="found no task"):
        combine([])


def test_scores_cannot_be_changed_behind_the_curve() -> None:
    with pytest.raises(ValueError, match="read-only"):
        candidates([[0.0], [0.0]])[0].target.values[0] = 1
