"""Gain, forgetting, frontier and notes against what the made-up scores say directly."""

from __future__ import annotations

from math import log
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import NotMeasurable
from holdfast.core.evidence import Evidence, RateTry
from holdfast.core.scores import PointScores, TaskScores
from holdfast.metrics.tradeoff import BASE
from holdfast.report.analysis import analysed


def without(scores: PointScores, task: str) -> PointScores:
    return scores.model_copy(update={"tasks": tuple(t for t in scores.tasks if t.task != task)})


def with_task(scores: PointScores, task: str, **changes: object) -> PointScores:
    tasks = [t.model_copy(update=changes) if t.task == task else t for t in scores.tasks]
    return scores.model_copy(update={"tasks": tuple(tasks)})


def with_last_test(evidence: Evidence, label: str, change) -> Evidence:
    """The evidence with the test scores of an entrant's last seed replaced."""
    entrants = []
    for entrant in evidence.entrants:
        if entrant.label == label:
            last = entrant.runs[-1].model_copy(update={"test": change(entrant.runs[-1].test)})
            entrant = entrant.model_copy(update={"runs": (*entrant.runs[:-1], last)})
        entrants.append(entrant)
    return evidence.model_copy(update={"entrants": tuple(entrants)})


def looped_mean(scores: TaskScores) -> float:
    total = weight = 0.0
    for value, at in zip(scores.values, scores.weights, strict=True):
        total += value * at
        weight += at
    return total / weight


@settings(deadline=None, max_examples=12)
@given(learned=st.floats(0, 1), forgot=st.floats(0, 1), seeds=st.integers(1, 3), draw=st.integers(0, 99))
def test_gain_and_forgetting_are_those_of_a_loop_over_items_tasks_and_seeds(
    build, made, learned: float, forgot: float, seeds: int, draw: int
) -> None:
    evidence = build({"lora": made(learned, forgot)}, seeds=range(1, seeds + 1), resamples=100, draw=draw)
    point = analysed(evidence).point("lora")
    change = {
        task: fmean(looped_mean(run.test.of(task)) for run in evidence.entrants[0].runs)
        - looped_mean(evidence.base_test.of(task))
        for task in ("cant", "recall", "logic", "chronicle")
    }
    assert point.gain == pytest.approx(change["cant"], abs=1e-12)
    assert point.forgetting == pytest.approx(-(change["recall"] + change["logic"]) / 2, abs=1e-12)
    assert {task.task: pytest.approx(task.change, abs=1e-12) for task in point.tasks} == change
    assert point.gain_interval[0] <= point.gain + 1e-9
    assert point.gain_interval[1] >= point.gain - 1e-9


def test_the_base_is_the_first_point_even_if_nobody_else_has_a_result(build, made) -> None:
    comparison = analysed(build({"lora": made(failure="out of memory")}))
    base, lora = comparison.points
    assert (base.name, base.gain, base.forgetting, base.on_frontier) == (BASE, 0.0, 0.0, True)
    assert (lora.failure, lora.gain, lora.ranked) == ("seed 2: out of memory", None, False)
    assert comparison.failures == ("lora: seed 2: out of memory",)


def test_the_base_alone_is_a_comparison_too(build) -> None:
    assert [point.name for point in analysed(build({})).points] == [BASE]


def test_an_entrant_that_lacks_a_task_has_no_result_and_says_which(build, made) -> None:
    evidence = build({"lora": made(), "oft": made(0.7)})
    broken = with_last_test(evidence, "lora", lambda scores: without(scores, "logic"))
    comparison = analysed(broken)
    assert comparison.failures == ("lora: seed 2: undefined: logic missing",)
    assert comparison.point("oft").gain == analysed(evidence).point("oft").gain


def test_an_entrant_asked_with_other_items_than_the_base_has_no_result(build, made) -> None:
    evidence = build({"lora": made()})
    ids = tuple(f"other/{i}" for i in range(40))
    broken = with_last_test(evidence, "lora", lambda scores: with_task(scores, "logic", ids=ids))
    assert analysed(broken).failures == ("lora: seed 2: undefined: logic was asked with other items than the base",)


def test_a_base_that_lacks_a_task_makes_everything_undefined(build, made) -> None:
    evidence = build({"lora": made()})
    broken = evidence.model_copy(update={"base_test": without(evidence.base_test, "cant")})
    with pytest.raises(NotMeasurable, match=r"^undefined: cant missing$"):
        analysed(broken)


@pytest.mark.parametrize(
    ("tries", "reason"),
    [
        ((RateTry(learning_rate=0.1, failure="diverged at step 3"),), "no learning rate worked: diverged at step 3"),
        ((), "it was not run"),
    ],
)
def test_an_entrant_without_runs_says_why(build, made, tries, reason: str) -> None:
    evidence = build({"lora": made()})
    entrant = evidence.entrants[0].model_copy(update={"runs": (), "tries": tries})
    assert analysed(evidence.model_copy(update={"entrants": (entrant,)})).point("lora").failure == reason


def test_entrants_that_are_not_ranked_neither_stand_on_the_frontier_nor_push_anybody_off_it(build, made) -> None:
    comparison = analysed(
        build(
            {
                "lora": made(0.3, 0.3),
                "full": made(0.9, 0.0, standing="unbudgeted"),
                "ia3": made(0.95, 0.0, standing="capped"),
            }
        )
    )
    assert comparison.point("lora").on_frontier
    for name in ("full", "ia3"):
        assert not comparison.point(name).on_frontier
        assert not comparison.point(name).ranked
    assert comparison.point("ia3").non_dominated_overall
    assert not comparison.point("lora").non_dominated_overall


def test_an_entrant_that_only_forgets_is_dominated_by_the_base(build, made) -> None:
    point = analysed(build({"lora": made(0.0, 0.5)})).point("lora")
    assert point.dominated_by_base_frac == 1.0
    assert point.added_area == 0.0
    assert not point.on_frontier


def seed_notes(comparison) -> list[str]:
    return [note for note in comparison.notes if "seed" in note]


def test_one_seed_is_noted_and_has_no_interval_over_seeds(build, made) -> None:
    comparison = analysed(build({"lora": made()}, seeds=(1,)))
    assert seed_notes(comparison) == [
        "One seed: intervals cover other test items, not other training seeds. Seed noise is not included."
    ]
    assert comparison.point("lora").gain_seed_interval is None


def test_a_few_seeds_are_noted_and_five_are_not(build, made) -> None:
    assert seed_notes(analysed(build({"lora": made()}, seeds=(1, 2, 3))))[0].startswith(
        "3 seeds: intervals cover items"
    )
    assert seed_notes(analysed(build({"lora": made()}, seeds=range(1, 6), items=12))) == []


def test_nothing_is_noted_about_seeds_where_nobody_was_run(build, made) -> None:
    evidence = build({"lora": made()})
    entrant = evidence.entrants[0].model_copy(update={"runs": ()})
    assert seed_notes(analysed(evidence.model_copy(update={"entrants": (entrant,)}))) == []


def test_notes_name_who_is_apart_what_is_left_out_and_what_overlapped(build, made) -> None:
    evidence = build({"lora": made(), "ia3": made(standing="capped"), "hra": made(standing="coarse", params=1034)})
    notes = analysed(evidence.model_copy(update={"overlap_items": 3})).notes
    assert "Shown apart, not ranked, since they cannot be brought to the budget: ia3." in notes
    assert "Outside the budget's tolerance, at their nearest setting: hra +3.4%." in notes
    assert any(note.endswith("losses and accuracies have no common mean: chronicle.") for note in notes)
    assert "3 training examples were left out because they are also evaluated." in notes


def test_texts_alone_are_the_headline_and_area_is_counted_from_a_guess_over_the_vocabulary(build, made) -> None:
    evidence = build(
        {"lora": made(0.9, 0.4)}, learn=("reports", "nats/token"), keep={"chronicle": "nats/token"}, seeds=(1,)
    )
    comparison = analysed(evidence)
    base, lora = comparison.points
    assert comparison.headline == ("chronicle",)
    assert (comparison.gain_unit, comparison.forgetting_unit) == ("nats/token", "nats/token")
    corner = -log(evidence.vocabulary)
    # The entrant learned and forgot: beside the base's rectangle it adds a strip above it.
    strip = (lora.target_score - base.target_score) * (lora.kept_score - corner)
    assert lora.added_area == pytest.approx(strip, rel=1e-9)


def test_divergence_is_the_mean_a_token_and_positive(build, made) -> None:
    evidence = build({"lora": made(0.5, 0.3)})
    task = analysed(evidence).point("lora").tasks[-1]
    tests = [run.test.of("chronicle") for run in evidence.entrants[0].runs]
    assert task.kl_nats_per_token == pytest.approx(fmean(t.mean_kl_nats_per_token for t in tests))
    assert 0 < task.kl_interval[0] < task.kl_nats_per_token < task.kl_interval[1]


def test_divergence_that_one_run_lacks_is_absent_and_that_of_the_others_is_not(build, made) -> None:
    evidence = build({"lora": made(), "oft": made()})
    broken = with_last_test(evidence, "lora", lambda scores: with_task(scores, "chronicle", kl_nats=None))
    comparison = analysed(broken)
    assert comparison.point("lora").tasks[-1].kl_nats_per_token is None
    assert comparison.point("lora").gain is not None
    assert comparison.point("oft").tasks[-1].kl_nats_per_token > 0


def test_everyone_is_held_against_lora_where_it_takes_part(build, made) -> None:
    evidence = build({"lora": made(0.2, 0.5), "oft": made(0.9, 0.0)})
    comparison = analysed(evidence)
    versus = comparison.point("oft").versus_lora
    assert versus.gain == pytest.approx(comparison.point("oft").gain - comparison.point("lora").gain)
    assert versus.gain_interval[0] > 0 > versus.forgetting_interval[1]
    assert 0 < versus.gain_p < 0.05
    assert comparison.point("lora").versus_lora is None


def test_without_lora_nobody_is_held_against_it(build, made) -> None:
    assert analysed(build({"oft": made(), "hra": made()})).point("oft").versus_lora is None


def test_the_curve_is_the_mean_over_seeds_and_starts_at_the_base(build, made) -> None:
    evidence = build({"lora": made()})
    comparison = analysed(evidence)
    (start,) = comparison.point(BASE).curve
    assert (start.step, start.target) == (0, looped_mean(evidence.base_validation.of("cant")))
    curve = comparison.point("lora").curve
    assert [at.step for at in curve] == [10, 20, 40]
    last = [run.curve[-1].scores for run in evidence.entrants[0].runs]
    assert curve[-1].target == pytest.approx(fmean(looped_mean(scores.of("cant")) for scores in last))
    kept = [fmean(looped_mean(scores.of(task)) for task in ("recall", "logic")) for scores in last]
    assert curve[-1].kept == pytest.approx(fmean(kept))


def test_a_checkpoint_that_was_not_scored_on_everything_has_no_place_on_the_curve(build, made) -> None:
    evidence = build({"lora": made()}, seeds=(1,))
    (run,) = evidence.entrants[0].runs
    first = run.curve[0].model_copy(update={"scores": without(run.curve[0].scores, "recall")})
    run = run.model_copy(update={"curve": (first, *run.curve[1:])})
    entrant = evidence.entrants[0].model_copy(update={"runs": (run,)})
    curve = analysed(evidence.model_copy(update={"entrants": (entrant,)})).point("lora").curve
    assert [at.step for at in curve] == [20, 40]


def test_a_single_kept_task_is_the_forgetting(build, made) -> None:
    comparison = analysed(build({"lora": made(0.5, 0.4)}, keep={"recall": "frac"}))
    point = comparison.point("lora")
    assert comparison.headline == ("recall",)
    assert point.forgetting == pytest.approx(-point.tasks[1].change)
