"""What the points around decide is skipped, and the audit says how often wrongly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from holdfast.core.scores import TaskScores, Unit
from holdfast.measure.skipping import Column, Skipping, error_limit, outside_in


def scores(values: list[float], ids: str = "abcde", unit: Unit = "frac", truncated_frac: float = 0.0) -> TaskScores:
    return TaskScores(
        task="new",
        ask="read" if unit == "nats/token" else "generate",
        unit=unit,
        ids=tuple(ids[: len(values)]),
        values=tuple(values),
        weights=(1.0,) * len(values),
        truncated_frac=truncated_frac,
    )


RARELY = Skipping(audit_frac=1e-9)
"""An audit that draws nothing among a few items."""


def column(at_0: list[float], at_1: list[float], skipping: Skipping | None = RARELY) -> Column:
    found = Column(scores(at_0), skipping)
    found.note(0.0, scores(at_0))
    found.note(1.0, scores(at_1))
    return found


def test_items_graded_alike_on_both_sides_are_skipped_and_take_that_grade() -> None:
    task = column([1, 0, 1, 0, 0.5], [1, 0, 0, 1, 0.5])
    assert task.missing(0.5) == ("c", "d", "e")
    task.note(0.5, scores([1, 0, 0.25], "cde"))
    assert task.missing(0.5) == ()
    assert task.at(0.5).values == (1, 0, 1, 0, 0.25)
    assert not task.is_whole(0.5)
    found = task.skipped()
    assert found is not None
    assert (found.decided, found.skipped, found.audited, found.wrong, found.error_frac) == (2, 2, 0, 0, 1.0)


def test_ends_are_asked_in_full_and_so_is_everything_without_skipping() -> None:
    first = scores([1, 0, 1])
    task = Column(first, RARELY)
    task.note(0.5, first)
    assert task.missing(0.0) == task.missing(1.0) == ("a", "b", "c")
    plain = column([1, 1, 1], [1, 1, 1], skipping=None)
    assert plain.missing(0.5) == ("a", "b", "c") and plain.missing(0.0) == ()
    plain.note(0.5, scores([1, 0, 1]))
    assert plain.at(0.5) == scores([1, 0, 1]) and plain.skipped() is None


def test_texts_are_never_skipped_though_they_cost_the_same_everywhere() -> None:
    text = scores([0.0, 1.0], unit="nats/token")
    task = Column(text, RARELY)
    for t in (0.0, 1.0):
        task.note(t, text)
    assert task.missing(0.5) == ("a", "b")
    task.note(0.5, text)
    assert task.missing(0.5) == () and task.is_whole(0.5) and task.skipped() is None


def test_of_several_points_the_nearest_at_which_an_item_was_asked_decide_it() -> None:
    task = column([1, 1, 1], [1, 0, 0])
    task.note(0.5, scores([0, 1], "bc"))  # a is decided
    # b fell before 0.5 and stays down; c is up at 0.5 and falls after it; a was never asked between the ends.
    assert task.missing(0.25) == ("b",)
    assert task.missing(0.75) == ("c",)


def test_an_item_that_turns_out_otherwise_is_open_again_beside_it() -> None:
    task = column([1, 0], [1, 0])
    for t in (0.5, 0.25, 0.75):
        task.note(t, None)
    assert [task.missing(t) for t in (0.25, 0.5, 0.75)] == [(), (), ()]
    task.note(0.5, scores([0, 0], "ab"))
    assert [task.missing(t) for t in (0.25, 0.5, 0.75)] == [("a",), (), ("a",)]
    task.note(0.25, scores([1], "a"))
    task.note(0.75, scores([0], "a"))
    assert [task.at(t).values for t in (0, 0.25, 0.5, 0.75, 1)] == [(1, 0), (1, 0), (0, 0), (0, 0), (1, 0)]
    found = task.skipped()
    assert found is not None
    # None of these finds was the audit's: they say nothing of the others.
    assert (found.decided, found.skipped, found.audited, found.wrong) == (6, 2, 0, 0)


def test_a_point_can_be_asked_in_full_after_all() -> None:
    task = column([1, 0, 1], [1, 0, 0])
    task.note(0.5, scores([1], "c", truncated_frac=1.0))
    assert task.missing(0.5, whole=True) == ("a", "b")
    task.note(0.5, scores([1, 1], "ab", truncated_frac=0.5))
    assert task.is_whole(0.5)
    assert task.at(0.5) == scores([1, 1, 1], truncated_frac=2 / 3)
    assert task.skipped() is None


def test_truncation_is_that_of_the_answers_that_were_given() -> None:
    task = column([1, 0, 1, 0], [1, 0, 0, 1])
    task.note(0.5, scores([1, 0], "cd", truncated_frac=0.5))
    assert task.at(0.5).truncated_frac == 0.5


def test_an_audit_of_everything_skips_nothing() -> None:
    task = column([1, 0], [1, 0], Skipping(audit_frac=1.0))
    assert task.missing(0.5) == ("a", "b")


def test_the_audit_asks_its_share_and_counts_what_was_otherwise() -> None:
    items, skipping = 1000, Skipping(audit_frac=0.1)
    ids = tuple(map(str, range(items)))
    like = scores([]).model_copy(update={"ids": ids, "values": (1.0,) * items, "weights": (1.0,) * items})
    task = Column(like, skipping)
    task.note(0.0, like)
    task.note(1.0, like)
    drawn = task.missing(0.5)
    assert len(drawn) == pytest.approx(100, abs=30)
    wrong = [item for item in drawn if int(item) % 4 == 0]
    values = tuple(float(item not in wrong) for item in drawn)
    task.note(0.5, like.model_copy(update={"ids": drawn, "values": values, "weights": (1.0,) * len(drawn)}))
    found = task.skipped()
    assert found is not None
    assert (found.decided, found.skipped) == (items, items - len(drawn))
    assert (found.audited, found.wrong) == (len(drawn), len(wrong))
    assert found.error_frac == error_limit(len(wrong), len(drawn))


def test_draws_are_their_own_for_every_task_point_and_seed_and_the_same_again() -> None:
    one = Skipping(audit_frac=0.5).drawn("new", 0.5, 200)
    assert np.array_equal(one, Skipping(audit_frac=0.5).drawn("new", 0.5, 200))
    others = [
        Skipping(audit_frac=0.5).drawn("old", 0.5, 200),
        Skipping(audit_frac=0.5).drawn("new", 0.25, 200),
        Skipping(audit_frac=0.5, seed=1).drawn("new", 0.5, 200),
    ]
    assert all(60 < (one != other).sum() < 140 for other in others)


def test_the_limit_is_the_largest_share_that_would_show_so_few_errors_in_one_of_twenty_audits() -> None:
    for wrong, audited in ((0, 1), (0, 60), (3, 60), (59, 60)):
        limit = error_limit(wrong, audited)
        assert stats.binom.cdf(wrong, audited, limit) == pytest.approx(0.05, abs=1e-9)
    assert error_limit(0, 300) == pytest.approx(3 / 300, rel=0.01)
    assert error_limit(4, 4) == 1.0
    assert error_limit(0, 0) == 1.0


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_an_impossible_audit_is_refused(share: float) -> None:
    with pytest.raises(ValueError) as error:
        Skipping(audit_frac=share)
    assert str(error.value) == (
        f"an audit asks a share of the skipped items above 0 and at most 1, such as 0.05, found {share}; "
        "without one nothing bounds the errors"
    )


def test_points_come_from_the_outside_in() -> None:
    assert outside_in([]) == []
    assert outside_in([0.3]) == [0.3]
    assert outside_in([1.0, 0.0]) == [0.0, 1.0]
    assert outside_in([0.0, 0.25, 0.5, 0.75, 1.0]) == [0.0, 1.0, 0.5, 0.25, 0.75]
    many = [step / 10 for step in range(11)]
    assert sorted(outside_in(many)) == many and outside_in(many)[:5] == [0.0, 1.0, 0.5, 0.3, 0.8]
