"""Words claim what the intervals allow, and say where they claim nothing."""

from __future__ import annotations

import pytest

from holdfast.core.evidence import RateTry
from holdfast.report.sequence.analysis import analysed
from holdfast.report.sequence.caveats import caveats
from holdfast.report.sequence.differences import difference
from holdfast.report.sequence.failures import failures
from holdfast.report.sequence.standing import LEARNT, standing_of, too_few
from holdfast.report.sequence.verdict import headline, verdict


def test_a_clear_difference_is_said(two) -> None:
    assert headline(two) == "trace_probe forgets least at equal learning"
    first, second, *_ = verdict(two)
    assert first.startswith("From just after a task to the end (backward transfer, GEM): trace_probe -0.0")
    assert "the difference is +0.1" in first
    assert "Equal learning means: not shown to learn less, or by no more than 0.030, 5% of what full gained." in second


def test_a_difference_inside_its_interval_is_not_claimed(build) -> None:
    found = analysed(build({"full": (0.6, 0.05), "twin": (0.6, 0.0499)}, noise=0.02), 200)
    assert headline(found) == "Nobody is shown to forget less than full at equal learning"
    assert "nothing is claimed" in verdict(found)[0] or "cannot be told apart" in verdict(found)[0]


@pytest.mark.parametrize(
    ("orders", "seeds", "few"),
    [(1, (1, 2), "one order"), (2, (1,), "one seed"), (1, (1,), "one order and one seed")],
)
def test_one_order_or_one_seed_ranks_nobody(build, orders, seeds, few) -> None:
    found = analysed(build(orders=orders, seeds=seeds), 100)
    assert too_few(found) == few
    assert headline(found).startswith(f"{few.capitalize()} ")
    assert headline(found).endswith("too few to say who forgets least")
    assert "the difference, in these runs alone, is" in verdict(found)[0]
    assert any("nobody is ranked" in line for line in caveats(found))


def test_who_learns_less_is_not_in_the_running(build) -> None:
    found = analysed(build({"full": (0.6, 0.1), "lora": (0.6, 0.05), "still": (0.1, 0.0)}), 200)
    standing = standing_of(found)
    assert [each.name for each in standing.slower] == ["still"]
    assert headline(found) == "lora forgets least at equal learning"
    assert any("not in the running: still" in line for line in verdict(found))


def test_who_learns_less_by_next_to_nothing_has_learned_as_much(build) -> None:
    found = analysed(build({"full": (0.6, 0.1), "lora": (0.59, 0.05)}, noise=0.0, outside=False), 200)
    gap = difference(found.of("lora"), found.of("full"), LEARNT, found)
    assert gap.below_zero
    assert -standing_of(found).margin < gap.value < 0
    assert standing_of(found).slower == ()
    assert headline(found) == "lora forgets least at equal learning"


def test_all_rates_that_failed_are_told_once(build) -> None:
    evidence = build({"full": (0.6, 0.1)}, orders=1, seeds=(1,), outside=False, items=4)
    tries = [RateTry(learning_rate=rate, failure="the loss became infinite") for rate in (0.1, 0.2)]
    (row,) = evidence.entrants

    def told(*tries: RateTry) -> tuple[tuple[str, str], ...]:
        return failures(evidence.model_copy(update={"entrants": (row.model_copy(update={"tries": tries}),)}))

    assert told(*tries) == (("full", "all 2 learning rates failed: the loss became infinite"),)
    assert told(*tries, RateTry(learning_rate=0.01)) == ()


def test_several_comparisons_are_held_at_a_stricter_level(build) -> None:
    found = analysed(build(dict.fromkeys(("full", "b", "c", "d", "e", "f"), (0.6, 0.1))), 50)
    assert standing_of(found).level == pytest.approx(0.99)


def test_choosing_is_held_against_chance(eighteen) -> None:
    lines = [line for line in verdict(eighteen) if line.startswith("Against ")]
    assert len(lines) == 2
    assert lines[0].startswith("Against trace_random, where chance chooses what is trained: trace_probe is not told")
    assert "trace_probe_exclude loses less (+0.1" in lines[1]


def test_broken_chains_and_borrowed_ceilings_are_told(eighteen) -> None:
    lines = caveats(eighteen)
    assert any("o_lora (6 of 9 finished)" in line for line in lines)
    assert any("ceiling" in line for line in lines)


def test_only_those_without_a_ceiling_of_their_own_are_named(build) -> None:
    (line,) = [
        line for line in caveats(analysed(build(settings={"full": "lora"}), 20)) if line.startswith("Intransigence")
    ]
    assert line == "Intransigence and normalised score of trace_probe are held against another method's ceiling."


def test_units_without_a_common_mean_are_told(build) -> None:
    found = analysed(build(text_tasks=("sums", "stories")), 20)
    assert headline(found) == "Tasks in different units have no average"
    assert any("different units" in line for line in caveats(found))


def test_one_entrant_is_compared_with_nobody(build) -> None:
    found = analysed(build({"full": (0.6, 0.1)}), 20)
    assert headline(found) == "What full learned and lost, task after task"


def test_nothing_finished_is_said(build) -> None:
    found = analysed(build({"full": (0.6, 0.1)}, broken={"full": 0}, seeds=(1,), outside=False), 20)
    assert headline(found) == "No sequence was finished"
    assert verdict(found) == ()
