"""Tasks are grouped by the overlap of their cores, and groups take turns."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from holdfast.algebra.bits import Bits
from holdfast.algebra.mask import Mask
from holdfast.core.errors import BadData, DamagedCheckpoint, HoldfastError
from holdfast.methods.isolation.scene import Scene
from holdfast.methods.staging.stages import ByStage, grouped, in_stages, shuffled, starts


def mask(*positions: int, size: int = 16) -> Mask:
    return Mask({"w": Bits.at(torch.tensor(positions, dtype=torch.long), (size,))})


CORES = st.lists(st.sets(st.integers(0, 15), max_size=6), min_size=1, max_size=6)


@given(CORES, st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]))
def test_groups_are_what_can_be_reached(sets: list[set[int]], threshold: float) -> None:
    names = [f"t{at}" for at in range(len(sets))]
    near = {
        (one, other): one == other
        or (bool(sets[one] | sets[other]) and len(sets[one] & sets[other]) / len(sets[one] | sets[other]) >= threshold)
        for one, other in product(range(len(sets)), repeat=2)
    }
    for by, one, other in product(range(len(sets)), repeat=3):  # the closure by Warshall
        near[one, other] = near[one, other] or (near[one, by] and near[by, other])
    wanted = {frozenset(names[other] for other in range(len(sets)) if near[one, other]) for one in range(len(sets))}
    found = grouped({name: mask(*own) for name, own in zip(names, sets, strict=True)}, threshold)
    assert {frozenset(group) for group in found} == wanted
    assert sum(map(len, found)) == len(names)
    assert [group[0] for group in found] == sorted(group[0] for group in found)
    assert all(list(group) == sorted(group) for group in found)


def test_overlap_at_the_threshold_joins() -> None:
    cores = {"a": mask(*range(10), size=32), "b": mask(9, *range(20, 29), size=32)}
    assert grouped(cores, 1 / 19) == [("a", "b")]
    assert grouped(cores, 1 / 19 + 1e-9) == [("a",), ("b",)]


def test_the_order_is_drawn_by_the_seed_and_not_by_where_groups_stand() -> None:
    groups = [("a", "d"), ("b",), ("c",)]
    assert shuffled(groups, 3) == shuffled(groups[::-1], 3)
    assert len({tuple(shuffled(groups, seed)) for seed in range(60)}) == 6


@given(st.integers(1, 40), st.integers(1, 8))
def test_stages_share_evenly(count: int, stages: int) -> None:
    if count < stages:
        with pytest.raises(
            HoldfastError, match=rf"training in {stages} stages, .* takes as many steps, and there are {count}"
        ):
            starts(count, stages)
        return
    lengths = [end - start for start, end in pairwise([*starts(count, stages), count])]
    assert max(lengths) - min(lengths) <= 1 <= min(lengths)


@given(st.integers(1, 20), st.integers(1, 7), st.integers(1, 5))
def test_a_stage_is_held_by_the_first_step_with_a_row_of_it(steps: int, rows_a_step: int, stages: int) -> None:
    if steps < stages:
        return
    rows = starts(steps * rows_a_step, stages)
    assert [row // rows_a_step for row in rows] == starts(steps, stages)


def test_rows_come_in_stages_each_as_often_as_the_next() -> None:
    tasks = ["a", "b", "c"] * 4 + ["source"] * 4
    order = in_stages([("c",), ("a", "b")], tasks, 40, seed=1)
    first, second = order[:20], order[20:]
    assert {tasks[row] for row in first} == {"c", "source"} and {tasks[row] for row in second} == {"a", "b", "source"}
    # Six rows of the first stage three times and two more; ten of the second twice.
    assert sorted(Counter(first).values()) == [3, 3, 3, 3, 4, 4]
    assert sorted(Counter(second).values()) == [2] * 10
    # Rows of no task are dealt out, and none is in both.
    assert not {row for row in first if tasks[row] == "source"} & set(second)
    assert order == in_stages([("c",), ("a", "b")], tasks, 40, seed=1)
    assert order != in_stages([("c",), ("a", "b")], tasks, 40, seed=2)
    # Every pass is shuffled anew.
    assert first[:6] != first[6:12]


def test_a_stage_without_rows_is_told() -> None:
    with pytest.raises(
        BadData, match=r"no training row is left of b and c, to which a stage belongs; raise max_length"
    ):
        in_stages([("a",), ("b", "c")], ["a", "a"], 8, seed=0)


def by_stage(stages: list[tuple[str, ...]], steps: int = 9) -> ByStage:
    return ByStage(stages, {"a": mask(0, 1), "b": mask(1, 2), "c": mask(5), "d": mask(7)}, steps)


def scene(step: int) -> Scene:
    model = torch.nn.Linear(1, 1)
    return Scene(model, dict(model.named_parameters()), torch.optim.SGD(model.parameters()), step=step)


def test_what_is_held_is_the_cores_of_all_earlier_stages() -> None:
    rule = by_stage([("c",), ("a", "b"), ("d",)])
    assert [step for step in range(12) if rule.schedule.due(step)] == [3, 6]
    assert rule.choose(scene(3))["w"].positions().tolist() == [5]
    assert rule.choose(scene(6))["w"].positions().tolist() == [0, 1, 2, 5]
    assert rule.notes() == ("trained in stages, the cores of earlier ones held: c; then a and b; then d",)


def test_one_stage_holds_nothing_and_says_so() -> None:
    rule = by_stage([("a", "b", "c", "d")])
    assert not any(rule.schedule.due(step) for step in range(9)) and rule.extra_bytes() == 0
    note = "a and b and c and d were trained together: there was no earlier stage, and nothing was held"
    assert rule.notes() == (note,)


def test_cores_of_earlier_trainings_are_held_from_the_first_step_on_and_count_as_memory() -> None:
    earlier = {"x": mask(2, 8), "y": mask(11)}
    rule = ByStage([("c",), ("a",)], {"a": mask(0, 1), "c": mask(5)}, 9, earlier)
    assert [step for step in range(12) if rule.schedule.due(step)] == [0, 4]
    assert rule.choose(scene(0))["w"].positions().tolist() == [2, 8, 11]
    assert rule.choose(scene(4))["w"].positions().tolist() == [2, 5, 8, 11]
    assert rule.extra_bytes() == 3 * mask(0)["w"].packed.numel()
    held = "held from the first step on: the cores of x, y"
    assert rule.notes() == (held, "trained in stages, the cores of earlier ones held: c; then a")


def test_a_state_brings_its_own_cores_and_refuses_other_stages() -> None:
    stages = [("c",), ("a", "b"), ("d",)]
    saved = by_stage(stages).state()
    other = ByStage(stages, {"a": mask(9), "b": mask(10), "c": mask(11), "d": mask(12)}, 9)
    other.restore(saved)
    assert other.choose(scene(6))["w"].positions().tolist() == [0, 1, 2, 5]
    with pytest.raises(DamagedCheckpoint, match=r"resumed with other stages than it was begun with"):
        by_stage([("c",), ("b",), ("a", "d")]).restore(saved)
