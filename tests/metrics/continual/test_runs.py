"""A run holds scores item by item, and runs that are no repetitions of each other are refused."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.metrics.continual.runs import SequenceRun, check_runs
from holdfast.metrics.tradeoff import UnusableScores

SUMS = [[0, 0, 1], [1, 1, 1], [1, 0, 1]]
FACTS = [[0, 1], [np.nan, np.nan], [1, 1]]


def run(order: tuple[str, ...] = ("sums", "facts"), seed: int = 1, **scores: object) -> SequenceRun:
    items = {"sums": np.array(SUMS, float), "facts": np.array(FACTS)}
    return SequenceRun(order, seed, items, **scores)


def test_the_matrix_is_in_the_order_of_training() -> None:
    forth, back = run().matrix, run(("facts", "sums")).matrix
    assert np.array_equal(forth.scores, [[1 / 3, 0.5], [1, np.nan], [2 / 3, 1]], equal_nan=True)
    assert np.array_equal(back.scores, forth.scores[:, ::-1], equal_nan=True)
    assert back.names == ("facts", "sums")


def test_what_tasks_reach_outside_is_missing_where_it_was_not_measured() -> None:
    assert run().ceiling is None
    ceiling = run(alone={"facts": np.array([1, 0])}, trained="jointly").ceiling
    assert np.array_equal(ceiling.scores, [np.nan, 0.5], equal_nan=True)
    assert ceiling.trained == "jointly"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"order": ()}, "a run needs tasks, each of them once"),
        ({"order": ("sums", "sums")}, "a run needs tasks, each of them once"),
        ({"order": ("sums", "logic")}, "scores are those of its tasks, found sums, facts"),
        ({"items": {"sums": SUMS, "facts": FACTS[:2]}}, r"'facts' needs 3 rows, .* found \(2, 2\)"),
        ({"items": {"sums": SUMS, "facts": np.empty((3, 0))}}, r"'facts' needs 3 rows, .* found \(3, 0\)"),
        ({"items": {"sums": SUMS, "facts": [[0, 1], [np.nan, 1], [1, 1]]}}, "'facts' has stages with scores of some"),
        ({"alone": {"logic": [1]}}, "scores are those of its tasks, found sums, facts, logic"),
        ({"alone": {"sums": [1]}}, r"'sums' outside the sequence needs one score an item, found \(1,\)"),
        ({"items": {"sums": [[0, 0, 50]] * 3, "facts": FACTS}}, "item 3 of 'sums' after stage 0 is 50, .* percent"),
        ({"alone": {"facts": [1, -1]}}, "item 2 of 'facts' alone, row 0 is -1, and scores lie within 0 and 1"),
    ],
)
def test_a_run_that_cannot_be_used_is_refused(given: dict, told: str) -> None:
    whole = {"order": ("sums", "facts"), "seed": 1, "items": {"sums": SUMS, "facts": FACTS}, **given}
    with pytest.raises(UnusableScores, match=told):
        SequenceRun(**whole)


def test_runs_repeat_each_other_in_other_orders_and_with_other_seeds() -> None:
    check_runs([run(), run(seed=2), run(("facts", "sums"))])


def test_runs_that_do_not_repeat_each_other_are_refused() -> None:
    fewer = {"sums": np.zeros((3, 2)), "facts": np.array(FACTS)}
    for others, told in [
        ([], "nothing to resample: there is no run"),
        ([run(), run()], r"two runs have the same order and seed: \(run of seed 1 in order sums, facts\), \(run"),
        ([run(), SequenceRun(("sums",), 1, {"sums": np.zeros((2, 3))})], "runs are of the same tasks; found run of se"),
        ([run(), SequenceRun(("sums", "facts"), 2, fewer)], "'sums' has 3 items in the run of .*; ask the same items"),
        ([run(), run(seed=2, trained="jointly")], "tasks are trained alone outside the sequence of run of seed 1"),
    ]:
        with pytest.raises(UnusableScores, match=told):
            check_runs(others)
