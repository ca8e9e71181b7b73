"""Frontiers and areas against brute force, moocore, Monte Carlo, and the published table of a large comparison."""

from __future__ import annotations

import json
import time
from pathlib import Path

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.bootstrap import resample
from holdfast.metrics.frontier import (
    added_area,
    added_area_interval,
    dominated_by,
    frontier_shares,
    hypervolume,
    non_dominated,
)
from holdfast.metrics.tradeoff import BASE, Benchmark

PUBLISHED = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))["columns"]
COLUMNS = ["qwen math", "qwen med", "llama math", "llama med"]

# Few distinct values, so that ties and duplicates are common.
coarse = st.integers(0, 5).map(float)
point_sets = st.lists(st.tuples(coarse, coarse), min_size=1, max_size=12).map(np.array)
smooth_sets = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=12).map(np.array)


def brute_force(points: np.ndarray) -> np.ndarray:
    """The definition: a point stays unless some other is at least as good on both axes and better on one."""
    return np.array([not any((q >= p).all() and (q > p).any() for q in points) for p in points])


def two_axes(base: tuple[float, float], **entrants: tuple[float, float]) -> list[Benchmark]:
    """One item an axis: the scores are the point itself."""
    return [
        Benchmark(name, role, [base[axis]], {k: [[point[axis]]] for k, point in entrants.items()}, [1.0])
        for axis, (name, role) in enumerate([("target", "learn"), ("general", "keep")])
    ]


@pytest.mark.parametrize("column", COLUMNS)
def test_published_table_has_the_frontier_computed_from_it(column: str) -> None:
    names, points = list(PUBLISHED[column]["points"]), np.array(list(PUBLISHED[column]["points"].values()))
    kept = {name for name, keep in zip(names, non_dominated(points), strict=True) if keep}
    assert kept == set(PUBLISHED[column]["non_dominated"])


@pytest.mark.parametrize("column", COLUMNS)
def test_published_table_has_the_rows_dominated_by_the_base(column: str) -> None:
    names, points = list(PUBLISHED[column]["points"]), np.array(list(PUBLISHED[column]["points"].values()))
    lost = {name for name, beaten in zip(names, dominated_by(points, points[0]), strict=True) if beaten}
    assert names[0] == "Base"
    assert lost == set(PUBLISHED[column]["dominated_by_base"])


@pytest.mark.parametrize("column", COLUMNS)
def test_published_table_has_the_areas_computed_from_it(column: str) -> None:
    points = PUBLISHED[column]["points"]
    family = {
        kind: [point for name, point in points.items() if name.startswith(kind)] for kind in ("LoRA ", "OFT ", "Base")
    }
    computed = {
        "base": hypervolume(family["Base"]),
        "base + all": hypervolume(list(points.values())),
        "LoRA": hypervolume(family["LoRA "]),
        "base + LoRA": hypervolume(family["LoRA "] + family["Base"]),
        "OFT": hypervolume(family["OFT "]),
        "base + OFT": hypervolume(family["OFT "] + family["Base"]),
    }
    assert computed == pytest.approx(PUBLISHED[column]["areas"], abs=5.001e-5)
    assert added_area(family["OFT "], family["Base"][0]) == pytest.approx(
        PUBLISHED[column]["areas"]["base + OFT"] - PUBLISHED[column]["areas"]["base"], abs=1.001e-4
    )


@pytest.mark.parametrize("column", ["llama math", "llama med"])
def test_published_lora_rows_add_nothing_to_an_untouched_llama(column: str) -> None:
    points = PUBLISHED[column]["points"]
    assert added_area([point for name, point in points.items() if name.startswith("LoRA ")], points["Base"]) == 0


def test_the_doubtful_published_cell_does_not_change_the_frontier() -> None:
    column = PUBLISHED["llama med"]
    points = np.array(list((column["points"] | {"Base": [41.44, 53.03]}).values()))
    kept = {name for name, keep in zip(column["points"], non_dominated(points), strict=True) if keep}
    assert kept == set(column["non_dominated"])


@pytest.mark.parametrize("column", COLUMNS)
def test_published_table_stands_the_same_in_every_resample_of_one_item(column: str) -> None:
    points = dict(PUBLISHED[column]["points"])
    standings = frontier_shares(resample(two_axes(points.pop("Base"), **points), resamples=20))
    assert standings.left_out == {}
    kept = {name for name, standing in standings.of.items() if standing.on_frontier}
    assert kept == {{"Base": BASE}.get(name, name) for name in PUBLISHED[column]["non_dominated"]}
    assert all(standing.non_dominated_frac == standing.on_frontier for standing in standings.of.values())
    lost = {name for name, standing in standings.of.items() if standing.surely_dominated}
    assert lost == set(PUBLISHED[column]["dominated_by_base"])


@settings(max_examples=1_000, deadline=None)
@given(point_sets)
def test_frontier_agrees_with_brute_force(points: np.ndarray) -> None:
    assert (non_dominated(points) == brute_force(points)).all()


@given(st.lists(point_sets.filter(lambda points: len(points) >= 4).map(lambda points: points[:4]), min_size=1))
def test_many_sets_at_once_are_many_sets_one_by_one(sets: list[np.ndarray]) -> None:
    together = np.stack(sets)
    assert (non_dominated(together) == [non_dominated(points) for points in sets]).all()
    assert (hypervolume(together) == [hypervolume(points) for points in sets]).all()
    assert (added_area(together[:, 1:], together[:, 0]) == [added_area(p[1:], p[0]) for p in sets]).all()
    assert (dominated_by(together, together[:, 0]) == [dominated_by(p, p[0]) for p in sets]).all()


def test_ties_keep_both_points() -> None:
    assert non_dominated([(1, 2), (1, 2), (2, 1), (2, 1)]).all()


def test_a_tie_on_one_axis_is_decided_by_the_other() -> None:
    assert non_dominated([(1, 2), (1, 3), (2, 3), (2, 1)]).tolist() == [False, False, True, False]


def test_a_single_point_is_its_own_frontier() -> None:
    assert non_dominated([(0.0, -5.0)]).tolist() == [True]


def test_an_empty_set_has_no_frontier_and_no_area() -> None:
    assert non_dominated(np.empty((0, 2))).shape == (0,)
    assert hypervolume(np.empty((0, 2))) == 0
    assert added_area(np.empty((0, 2)), (1, 1)) == 0


@given(smooth_sets, st.randoms())
def test_order_and_duplicates_change_nothing(points: np.ndarray, random: object) -> None:
    order = random.sample(range(len(points)), len(points))
    assert (non_dominated(points[order]) == non_dominated(points)[order]).all()
    assert hypervolume(points[order]) == pytest.approx(hypervolume(points))
    twice = np.concatenate([points, points])
    assert (non_dominated(twice) == np.tile(non_dominated(points), 2)).all()
    assert hypervolume(twice) == pytest.approx(hypervolume(points))


@given(smooth_sets, st.floats(0, 1), st.floats(0.01, 1))
def test_a_dominated_point_changes_nothing(points: np.ndarray, along: float, short: float) -> None:
    beaten = points[0] * [1, along] - [short, 0]
    more = np.concatenate([points, [beaten]])
    assert non_dominated(more).tolist() == [*non_dominated(points), False]
    assert hypervolume(more, (0, 0)) == pytest.approx(hypervolume(points), rel=1e-12)


@given(smooth_sets, st.tuples(st.floats(0, 100), st.floats(0, 100)))
def test_area_never_shrinks_when_a_point_is_added(points: np.ndarray, extra: tuple[float, float]) -> None:
    before = hypervolume(points)
    assert hypervolume(np.concatenate([points, [extra]])) >= before - 1e-12 * before


@given(smooth_sets, st.tuples(st.floats(0, 100), st.floats(0, 100)))
def test_the_added_area_of_a_point_is_positive_exactly_when_it_leaves_the_shadow(
    points: np.ndarray, base: tuple[float, float]
) -> None:
    area = added_area(points, base)
    assert area >= 0
    if ((points <= base).all(axis=1)).all():
        assert area == 0


def test_a_set_wholly_dominated_by_the_base_adds_exactly_nothing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        base = rng.random(2) + 0.1
        shadow = base * rng.random((rng.integers(2, 40), 2))
        shadow[::2, 0], shadow[1::3, 1] = base
        assert added_area(shadow, base) == 0
        assert added_area([*shadow, base], base) == 0


@settings(deadline=None)
@given(smooth_sets)
def test_frontier_and_area_agree_with_moocore(points: np.ndarray) -> None:
    assert (non_dominated(points) == moocore.is_nondominated(points, maximise=True, keep_weakly=True)).all()
    for reference in [(0.0, 0.0), (30.0, 50.0)]:
        theirs = moocore.hypervolume(points, ref=np.array(reference), maximise=True)
        assert hypervolume(points, reference) == pytest.approx(theirs, rel=1e-9, abs=1e-9)


def test_area_agrees_with_monte_carlo() -> None:
    rng = np.random.default_rng(1)
    points, darts = rng.random((12, 2)) ** 0.5, rng.random((100_000, 2))
    hit = (darts[:, np.newaxis] <= points).all(axis=2).any(axis=1).mean()
    # Five standard errors of a share of 100,000 darts.
    assert hypervolume(points) == pytest.approx(hit, abs=5 * 0.5 / 100_000**0.5)


def test_points_below_the_reference_add_nothing() -> None:
    assert hypervolume([(5, 1), (1, 5)], reference=(2, 2)) == 0
    assert hypervolume([(5, 1), (1, 5), (3, 4)], reference=(2, 2)) == 2


def test_negative_scores_need_a_reference() -> None:
    with pytest.raises(ValueError, match="state the reference point"):
        hypervolume([(0.5, -2.0)])
    with pytest.raises(ValueError, match="state the reference point"):
        added_area([(0.5, 0.1)], (0.4, -1.0))
    assert added_area([(0.5, -2.0)], (0.4, -1.0), reference=(0, -3)) == pytest.approx(0.1)


@pytest.mark.parametrize("points", [[1.0, 2.0], [[1.0, 2.0, 3.0]]])
def test_points_that_are_not_pairs_are_refused(points: object) -> None:
    with pytest.raises(ValueError, match=r"points are pairs \(target, general\), found shape"):
        non_dominated(points)


def test_points_that_cannot_be_ordered_are_refused() -> None:
    with pytest.raises(ValueError, match="points must be finite"):
        hypervolume([(0.5, np.nan)])


def noisy(seed: int, items: int = 100) -> list[Benchmark]:
    """A base, a better entrant, a worse one, a copy of the base, and one that trades target for general."""
    rng = np.random.default_rng(seed)
    shifts = {"better": (0.2, 0.1), "worse": (-0.3, -0.3), "copy": (0.0, 0.0), "trader": (0.4, -0.1)}
    found = []
    for axis, (name, role) in enumerate([("target", "learn"), ("general", "keep")]):
        base = rng.random(items) + 1
        entrants = {
            entrant: [base + shift[axis] + (entrant != "copy") * rng.normal(0, 0.1, items)]
            for entrant, shift in shifts.items()
        }
        found.append(Benchmark(name, role, base, entrants, np.ones(items)))
    return found


def test_shares_and_areas_agree_with_a_loop_over_resamples() -> None:
    resamples = resample(noisy(2), resamples=50, seed=3)
    standings = frontier_shares(resamples, reference=(0.5, 0.5)).of
    names = list(standings)
    kept, lost, areas = [], [], []
    for draw in range(50):
        points = np.array([[resamples.scores(n, "learn")[draw], resamples.scores(n, "keep")[draw]] for n in names])
        kept.append(brute_force(points))
        lost.append([(points[0] >= p).all() and (points[0] > p).any() for p in points])
        areas.append([added_area([p], points[0], reference=(0.5, 0.5)) for p in points])
    for i, name in enumerate(names):
        assert standings[name].non_dominated_frac == pytest.approx(np.mean(kept, axis=0)[i])
        assert standings[name].dominated_by_base_frac == pytest.approx(np.mean(lost, axis=0)[i])
        assert standings[name].added_area_spread == pytest.approx(np.quantile(areas, [0.025, 0.975], axis=0)[:, i])


def test_clear_differences_are_told_as_sure_ones() -> None:
    standings = frontier_shares(resample(noisy(4), resamples=500)).of
    assert standings["better"].non_dominated_frac == standings["trader"].non_dominated_frac == 1
    assert standings["worse"].surely_dominated
    assert standings["worse"].added_area == 0
    assert standings["worse"].added_area_spread == (0, 0)
    assert standings["better"].added_area_spread.low > 0


def test_a_copy_of_the_base_stands_exactly_where_the_base_does() -> None:
    standings = frontier_shares(resample(noisy(5), resamples=500)).of
    assert standings["copy"] == standings[BASE]
    assert standings["copy"].dominated_by_base_frac == 0
    assert standings["copy"].added_area_spread == (0, 0)


def test_copies_of_one_entrant_never_dominate_each_other() -> None:
    rng = np.random.default_rng(6)
    entrants = {name: rng.random((1, 77)) for name in "abc"}
    entrants |= {f"{name} again": scores for name, scores in entrants.items()}
    base, weights = rng.random(77), rng.integers(1, 100, 77)
    data = [Benchmark(role, role, base, entrants, weights) for role in ("learn", "keep")]
    standings = frontier_shares(resample(data, resamples=500)).of
    assert all(standings[name] == standings[f"{name} again"] for name in "abc")


def test_the_base_has_a_place_even_when_nobody_else_has() -> None:
    standings = frontier_shares(resample(two_axes((0.3, 0.5)), resamples=10)).of
    assert list(standings) == [BASE]
    assert standings[BASE].on_frontier


def test_an_entrant_without_a_general_score_is_left_out_with_the_reason() -> None:
    target, general = two_axes((0.3, 0.5), lora=(0.4, 0.4), full=(0.9, 0.9))
    general = Benchmark("general", "keep", general.base, {"lora": general.entrants["lora"]}, general.weights)
    standings = frontier_shares(resample([target, general], resamples=10))
    assert standings.left_out == {"full": "undefined: general missing for full"}
    assert standings.of["lora"].on_frontier
    with pytest.raises(NotMeasurable, match="undefined: general missing for full"):
        added_area_interval(resample([target, general], resamples=10), ["lora", "full"])


def test_a_plane_with_one_axis_is_undefined() -> None:
    with pytest.raises(NotMeasurable, match="forgetting needs a benchmark with the role 'keep'"):
        frontier_shares(resample(two_axes((0.3, 0.5))[:1], resamples=10))


def test_standings_on_log_likelihoods_need_a_reference() -> None:
    resamples = resample(two_axes((0.3, -2.0), lora=(0.5, -2.5)), resamples=10)
    with pytest.raises(ValueError, match="state the reference point"):
        frontier_shares(resamples)
    assert frontier_shares(resamples, reference=(0, -3)).of["lora"].added_area == pytest.approx(0.2 * 0.5)


def test_points_of_one_method_together_add_at_least_what_each_adds() -> None:
    resamples = resample(noisy(7), resamples=200)
    area, spread = added_area_interval(resamples, ["better", "trader", "worse"])
    alone = frontier_shares(resamples).of
    assert area > max(standing.added_area for standing in alone.values())
    assert spread.low < area < spread.high
    assert added_area_interval(resamples, ["trader"]) == (alone["trader"].added_area, alone["trader"].added_area_spread)


def test_sixty_entrants_in_ten_thousand_resamples_take_seconds() -> None:
    rng = np.random.default_rng(8)
    entrants = {f"method {i}": rng.random((1, 5)) for i in range(60)}
    data = [Benchmark(role, role, rng.random(5), entrants, np.ones(5)) for role in ("learn", "keep")]
    resamples = resample(data)
    start = time.process_time()
    frontier_shares(resamples)
    assert time.process_time() - start < 5
