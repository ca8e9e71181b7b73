"""Owners of tensors, shares, and overlaps beside those of random sets."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from holdfast.core.parameter_plan import ParameterPlan, PlannedTensor
from holdfast.core.scores import PointScores
from holdfast.core.sequence_evidence import ChainRun, Stage
from holdfast.report.sequence.owned import owners_section
from holdfast.report.sequence.owners import chance_jaccard, owners_of


def planned(task: str, chosen: str, owned: str = "") -> ParameterPlan:
    tensors = [
        PlannedTensor(
            name="embed.weight" if letter == "e" else f"model.layers.{'abcd'.index(letter) // 2}.{letter}.weight",
            params=10 * (place + 1),
            chosen=letter in chosen,
            owners=("before",) if letter in owned else (),
        )
        for place, letter in enumerate("abcde")
    ]
    return ParameterPlan(task=task, method="m", seed=0, model_params=300, model_tensors=10, tensors=tuple(tensors))


def chain(*plans: ParameterPlan | None) -> ChainRun:
    nothing = PointScores(split="test", tasks=())
    names = [plan.task if plan is not None else "free" for plan in plans]
    stages = [Stage(task=name, test=nothing, plan=plan) for name, plan in zip(names, plans, strict=True)]
    return ChainRun(order=tuple(names), seed=3, stages=tuple(stages))


def test_owners_stand_in_the_order_of_their_training() -> None:
    found = owners_of(chain(planned("one", "ab"), planned("two", "be", "b")))
    assert {tensor.module: tensor.owners for tensor in found.tensors} == {
        "a": ("one",), "b": ("one", "two"), "c": (), "d": (), "embed": ("two",),
    }  # fmt: skip
    assert found.blocks == (0, 1, None)
    assert [choice.shared for choice in found.choices] == [0, 1]


def test_both_shares_are_counted() -> None:
    (choice,) = owners_of(chain(planned("one", "be"))).choices
    assert (choice.tensors, choice.eligible_tensors, choice.model_tensors) == (2, 5, 10)
    assert (choice.params, choice.eligible_params, choice.model_params) == (70, 150, 300)


def test_of_a_tensor_trained_in_part_only_that_part_counts() -> None:
    plan = planned("one", "be")
    part = plan.tensors[1].model_copy(update={"chosen_params": 5})
    found = owners_of(chain(plan.model_copy(update={"tensors": (plan.tensors[0], part, *plan.tensors[2:])})))
    assert found.choices[0].params == 55
    assert found.share("one", 0) == pytest.approx(5 / 30)


def test_the_share_of_a_block_is_of_its_eligible_parameters() -> None:
    found = owners_of(chain(planned("one", "be")))
    assert found.share("one", 0) == pytest.approx(20 / 30)
    assert found.share("one", 1) == 0
    assert found.share("one", None) == 1
    assert found.share("one", 7) is None


def test_overlaps_are_of_tensors_and_of_parameters() -> None:
    common = owners_of(chain(planned("one", "ab"), planned("two", "be"))).common[0][1]
    assert common.jaccard == pytest.approx(1 / 3)
    assert common.params == pytest.approx(20 / 80)


def test_two_empty_choices_have_no_overlap() -> None:
    common = owners_of(chain(planned("one", ""), planned("two", ""))).common[0][1]
    assert (common.jaccard, common.params, common.chance) == (None, None, None)


def test_the_overlap_of_random_sets_is_the_mean_over_all_of_them() -> None:
    for one, other, among in ((2, 3, 6), (1, 1, 4), (4, 4, 5), (0, 2, 5), (5, 5, 5)):
        first = set(range(one))
        every = [len(first & set(o)) / len(first | set(o)) for o in combinations(range(among), other)]
        assert chance_jaccard(one, other, among) == pytest.approx(np.mean(every))
    assert chance_jaccard(3, 1, 2) is None


def test_stages_without_a_plan_are_left_out() -> None:
    assert owners_of(chain(None)) is None
    found = owners_of(chain(None, planned("two", "a")))
    assert [choice.task for choice in found.choices] == ["two"]


def test_the_section_has_a_ledger_an_order_and_says_what_chance_has(two) -> None:
    section = owners_section(two)
    assert [ledger.entrant for ledger in section.ledgers] == ["trace_probe"] * 3
    (line,) = section.lines
    assert line.startswith("trace_probe: a task is trained on 17% of the tensors, which are ")
    assert "random sets would 0.12" in line
    first = section.ledgers[0]
    shared = [cell for _, cells in first.tensors for cell in cells if cell.text]
    assert shared
    assert all(cell.background.startswith("linear-gradient") for cell in shared)


def test_nobody_who_chooses_leaves_no_section(build) -> None:
    from holdfast.report.sequence.analysis import analysed

    assert owners_section(analysed(build(orders=1, seeds=(1,)), 20)) is None
