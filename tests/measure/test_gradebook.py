"""A path whose items are skipped where decided ends with the scores of one on which everything was asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from jaxtyping import Float

from holdfast.core.scores import PointScores, TaskScores
from holdfast.measure.gradebook import Gradebook, Some
from holdfast.measure.skipping import Skipping

POINTS = tuple(step / 10 for step in range(11))
Grades = Float[np.ndarray, "points items"]


class Truth:
    """What every item would be graded at every point, and how often anybody asked."""

    def __init__(self, **tasks: Grades) -> None:
        self.tasks, self.asked, self.calls = tasks, 0, 0

    def __call__(self, t: float, only: Some) -> PointScores:
        found = []
        for name, grades in self.tasks.items():
            ids = [str(item) for item in range(grades.shape[1]) if name not in only or str(item) in only[name]]
            if ids:
                values = tuple(float(grades[POINTS.index(t), int(item)]) for item in ids)
                found.append(
                    TaskScores(
                        task=name,
                        ask="generate",
                        unit="frac",
                        ids=tuple(ids),
                        values=values,
                        weights=(1.0,) * len(ids),
                    )
                )
        self.asked += sum(len(scores.ids) for scores in found)
        self.calls += 1
        return PointScores(split="test", tasks=tuple(found))


def flipping(items: int, share: float, seed: int = 0) -> Grades:
    """Items of which a share changes once, anywhere on the way, in either direction."""
    source = np.random.default_rng(seed)
    first = source.integers(2, size=items)
    when = np.where(source.random(items) < share, source.integers(1, len(POINTS), items), len(POINTS))
    return np.abs(first - (np.arange(len(POINTS))[:, None] >= when)).astype(float)


def blinking(items: int, share: float, seed: int = 0) -> Grades:
    """Items of which a share is otherwise at a single point inside."""
    source = np.random.default_rng(seed)
    grades = np.tile(source.integers(2, size=items).astype(float), (len(POINTS), 1))
    those = np.flatnonzero(source.random(items) < share)
    where = source.integers(1, len(POINTS) - 1, those.size)
    grades[where, those] = 1 - grades[where, those]
    return grades


def filled(truth: Truth, skipping: Skipping | None, points: Sequence[float] = POINTS) -> Gradebook:
    book = Gradebook(truth.tasks, "test", skipping)
    book.fill(points, truth)
    return book


def wrong(book: Gradebook, truth: Truth) -> int:
    return sum(
        int((np.array(scores.values) != truth.tasks[scores.task][place]).sum())
        for place, t in enumerate(POINTS)
        for scores in book.at(t).tasks
    )


def test_items_that_change_once_are_told_without_an_error_by_a_third_of_the_questions() -> None:
    truth, slow = (Truth(new=flipping(500, 0.2, 1), old=flipping(300, 0.1, 2)) for _ in range(2))
    book, plain = filled(truth, Skipping()), filled(slow, None)
    assert [book.at(t) for t in POINTS] == [plain.at(t) for t in POINTS]
    assert slow.asked == 11 * 800
    assert truth.asked < slow.asked / 3
    found = book.skipped()
    assert set(found) == {"new", "old"}
    assert sum(each.skipped for each in found.values()) == slow.asked - truth.asked
    assert [each.wrong for each in found.values()] == [0, 0]
    assert all(each.error_frac < 4 / each.audited for each in found.values())
    assert plain.skipped() == {}


def test_an_audit_of_everything_finds_every_item_that_goes_and_comes_back() -> None:
    truth = Truth(new=blinking(200, 0.3))
    book = filled(truth, Skipping(audit_frac=1.0))
    assert wrong(book, truth) == 0 and truth.asked == 11 * 200 and book.skipped() == {}


def test_what_the_audit_finds_is_in_the_scores_and_its_limit_is_above_what_it_missed() -> None:
    truth = Truth(new=blinking(400, 0.5))
    book = filled(truth, Skipping(audit_frac=0.2))
    found, missed = book.skipped()["new"], wrong(book, truth)
    assert found.wrong > 0 and missed > 0
    assert missed + found.wrong <= found.error_frac * found.decided
    assert found.error_frac < 0.1


def test_the_limit_holds_in_nineteen_of_twenty_walks_though_errors_cluster() -> None:
    # A twentieth of the items is otherwise at all points inside: the ends see nothing of it.
    grades = np.ones((len(POINTS), 400))
    grades[1:-1, ::20] = 0
    held = []
    for seed in range(100):
        truth = Truth(new=grades)
        book = Gradebook(("new",), "test", Skipping(audit_frac=0.1, seed=seed))
        for t in (0.0, 1.0, 0.5):
            book.fill([t], truth)
        held.append(book.skipped()["new"].error_frac * 400 >= 20)
    assert np.mean(held) >= 0.95


def test_neighbours_of_a_find_are_asked_again_until_nothing_is_open() -> None:
    grades = np.ones((len(POINTS), 1))
    grades[3:8] = 0
    truth = Truth(new=grades)
    # Drawn nowhere by the audit, so that the find is that of the point that is asked in full.
    book = filled(truth, Skipping(audit_frac=1e-9))
    assert wrong(book, truth) == 5 and truth.asked == 2
    book.fill([0.5], truth, whole=True)
    assert wrong(book, truth) == 0
    assert book.is_whole(0.5)


def test_nobody_is_asked_where_nothing_is_open() -> None:
    truth = Truth(new=np.ones((len(POINTS), 3)))
    book = filled(truth, Skipping(audit_frac=1e-9))
    assert truth.calls == 2
    assert 0.5 in book and 0.55 not in book
    assert book.at(0.5).tasks[0].values == (1, 1, 1)


def test_a_task_that_is_settled_does_not_keep_another_from_being_asked() -> None:
    truth = Truth(new=flipping(40, 1.0), old=np.ones((len(POINTS), 3)))
    book = filled(truth, Skipping(audit_frac=1e-9))
    assert wrong(book, truth) == 0
    assert book.skipped()["old"].skipped == 27


def test_points_that_are_known_decide_like_others_and_are_not_asked() -> None:
    truth = Truth(new=flipping(50, 0.5))
    known = {t: truth(t, {}) for t in (0.0, 1.0)}
    truth.asked = 0
    book = Gradebook(("new",), "test", Skipping(audit_frac=1e-9), known)
    book.fill([0.5], truth)
    assert 0 < truth.asked < 50
    assert book.at(0.0) == known[0.0]


@pytest.mark.parametrize("items", [1, 2])
def test_a_handful_of_items_is_no_fault(items: int) -> None:
    truth = Truth(new=flipping(items, 0.5))
    assert wrong(filled(truth, Skipping()), truth) == 0
