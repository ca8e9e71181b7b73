"""Everybody gets the same tries; further ones go where the best lies at an end; accidents are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from holdfast.arena.executor import Unwatched
from holdfast.arena.rates import Judged
from holdfast.arena.search import Search, search_rates
from holdfast.core.recipe import ArenaRecipe


@dataclass
class Try:
    """A job that tries a rate and trains nothing."""

    label: str
    rate: float
    done: bool = False
    failure: str | None = None

    @property
    def name(self) -> str:
        return f"{self.label} rate {self.rate:g}"


def searched(best: Mapping[str, float], broken: Sequence[str] = (), **options: object) -> dict[str, Search]:
    """Searches in which an entrant learns the better, the nearer its rate is to the one that is best for it."""
    recipe = ArenaRecipe.model_validate({"learning_rate_rule": "target", **options})

    def do(jobs: Sequence[Try]) -> dict[str, str]:
        for job in jobs:
            job.done = job.name not in broken
        return dict.fromkeys(broken, "the lights went out")

    def judge(job: Try) -> Judged | None:
        score = -abs(np.log(job.rate / best[job.label]))
        return Judged(np.array([score]), np.ones(1), kept=0.0) if job.done else None

    return search_rates(recipe, dict.fromkeys(best, 1.0), Try, judge, do, Unwatched())


def test_everybody_has_the_same_tries_spent_or_not() -> None:
    found = searched({"low": 1e-3, "right": 1.0, "high": 1e3}, learning_rate_tries=3, learning_rate_extra_tries=2)
    for one in found.values():
        assert len(one.tried) + one.unspent == 3 + 2
    assert {label: one.unspent for label, one in found.items()} == {"low": 0, "right": 2, "high": 0}


@pytest.mark.parametrize(("best", "chosen"), [(1e-3, 0.037), (1.0, 1.0), (9.0, 9.0)])
def test_further_rates_go_out_from_the_end_at_which_the_best_lies(best: float, chosen: float) -> None:
    found = searched({"it": best}, learning_rate_tries=3, learning_rate_extra_tries=2)["it"]
    assert found.chosen == found.by_target == pytest.approx(chosen, rel=0.02)


def test_a_single_rate_is_no_search() -> None:
    found = searched({"it": 1e3}, learning_rate_tries=1, learning_rate_extra_tries=2)["it"]
    assert list(found.tried) == [found.chosen] == [1.0]
    assert found.unspent == 2


def test_rates_are_scaled_alike() -> None:
    found = searched({"it": 40.0, "other": 40.0}, learning_rate_tries=3, learning_rate_scale=40)
    assert [one.chosen for one in found.values()] == [40.0, 40.0]


def test_what_did_not_finish_is_a_try_with_its_reason() -> None:
    found = searched({"it": 1.0}, broken=["it rate 1"], learning_rate_tries=3, learning_rate_extra_tries=0)["it"]
    assert found.failures == {1.0: "the lights went out"}
    assert found.tried[1.0] is None
    assert [one.failure for one in found.tries()] == [None, "the lights went out", None]
    assert found.chosen is not None


def test_where_all_fail_nothing_is_chosen() -> None:
    found = searched({"it": 1.0}, broken=["it rate 1"], learning_rate_tries=1)["it"]
    assert found.chosen is None
