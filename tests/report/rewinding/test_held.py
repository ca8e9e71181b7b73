"""Points against the base: means, differences and their intervals against the same written out item by item."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.core.scores import PointScores, TaskScores
from holdfast.metrics.tradeoff import BASE
from holdfast.report.rewinding.held import Held, items_of, mixed


def scores(**values: tuple[tuple[float, ...], str]) -> PointScores:
    tasks = [
        TaskScores(
            task=task,
            ask="read" if unit == "nats/token" else "generate",
            unit=unit,  # type: ignore[arg-type]
            ids=tuple(map(str, range(len(numbers)))),
            values=numbers,
            weights=(1.0, 3.0) if unit == "nats/token" else (1.0,) * len(numbers),
        )
        for task, (numbers, unit) in values.items()
    ]
    return PointScores(split="validation", tasks=tuple(tasks))


BASE_SCORES = scores(
    sums=((0, 0, 0, 1), "frac"), facts=((1, 1, 1, 1), "frac"), order=((1, 1), "frac"), tales=((-1, -2), "nats/token")
)
POINT = scores(
    sums=((1, 1, 0, 1), "frac"), facts=((1, 0, 1, 1), "frac"), order=((0, 1), "frac"), tales=((-2, -4), "nats/token")
)


@pytest.fixture(scope="module")
def held() -> Held:
    return Held(("sums",), ("facts", "order", "tales"), BASE_SCORES, {"here": items_of(POINT)})


def test_gain_and_forgetting_are_means_of_differences_and_every_task_weighs_the_same(held) -> None:
    standing = held.standing("here")
    assert standing.target == pytest.approx(3 / 4)
    assert standing.gain.value == pytest.approx(3 / 4 - 1 / 4)
    assert standing.kept == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert standing.forgetting.value == pytest.approx(1 - (3 / 4 + 1 / 2) / 2)


def test_texts_stay_out_of_the_mean_of_graded_tasks_and_have_a_change_of_their_own(held) -> None:
    assert held.headline == ("facts", "order")
    standing = held.standing("here")
    assert standing.scores["tales"] == pytest.approx((-2 * 1 - 4 * 3) / 4)
    assert standing.changes["tales"].value == pytest.approx((-1 * 1 - 2 * 3) / 4)


def test_where_only_texts_are_kept_they_are_the_mean() -> None:
    held = Held(("sums",), ("tales",), BASE_SCORES, {"here": items_of(POINT)})
    assert held.headline == ("tales",)
    assert held.kept_unit == "nats/token"
    assert held.standing("here").forgetting.value == pytest.approx(7 / 4)


def test_the_base_differs_from_itself_by_nothing(held) -> None:
    standing = held.standing(BASE)
    assert standing.gain.value == standing.forgetting.value == 0
    assert standing.gain.spread == (0, 0)


def test_an_interval_is_that_of_a_plain_bootstrap_over_items() -> None:
    generator = np.random.default_rng(0)
    before, after = (generator.integers(2, size=200).astype(float) for _ in range(2))
    base, point = (scores(sums=(tuple(each), "frac"), facts=((1.0,), "frac")) for each in (before, after))
    (low, high) = Held(("sums",), ("facts",), base, {"here": items_of(point)}).standing("here").gain.spread
    drawn = [float((after - before)[generator.integers(200, size=200)].mean()) for _ in range(4000)]
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.02)


def test_without_anything_to_be_kept_forgetting_is_a_reason() -> None:
    standing = Held(("sums",), (), BASE_SCORES, {"here": items_of(POINT)}).standing("here")
    assert standing.kept is None
    assert standing.forgetting.reason == (
        "undefined: forgetting needs a benchmark with the role 'keep', and there is none"
    )


def test_scores_part_way_are_on_the_straight_line_item_by_item() -> None:
    between = mixed(items_of(BASE_SCORES), items_of(POINT), 0.25)
    assert list(between["sums"]) == [0.25, 0.25, 0, 1]
    assert list(between["tales"]) == [-1.25, -2.5]
