"""Numbers of made-up sequences are those that were planted, and each without a value has its reason."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.core.errors import NotMeasurable
from holdfast.core.scores import PointScores, TaskScores
from holdfast.metrics.continual import ScoreMatrix
from holdfast.metrics.continual.formulas import METRICS, backward_transfer_gem, final_accuracy
from holdfast.metrics.continual.resampling import resample_runs
from holdfast.metrics.tradeoff import BASE, UnusableScores
from holdfast.report.sequence.analysis import analysed
from holdfast.report.sequence.columns import ability_column
from holdfast.report.sequence.differences import difference
from holdfast.report.sequence.numbers import Number, levelled, undefined
from holdfast.report.sequence.scale import Scale, items_of

BWT = backward_transfer_gem.name


def test_backward_transfer_is_what_was_planted(two) -> None:
    # Earlier tasks lose 0.1 a stage for 4, 3, 2 and 1 stages.
    assert two.of("full").numbers[BWT].value == pytest.approx(-0.25, abs=0.02)
    assert two.of("trace_probe").numbers[BWT].value == pytest.approx(-0.05, abs=0.02)


def test_every_metric_is_the_mean_of_those_of_single_matrices(two) -> None:
    row = two.of("full").row
    for metric in METRICS:
        plain = []
        for chain, run in zip(row.chains, row.runs, strict=True):
            base = [two.scores.base(task).mean for task in chain.order]
            stages = [[stage.test.of(task).mean for task in chain.order] for stage in chain.stages]
            plain.append(metric(ScoreMatrix.of([base, *stages]), alone=run.ceiling))
        assert two.of("full").numbers[metric.name].value == pytest.approx(np.mean(plain)), metric.name


def test_the_change_of_abilities_is_the_mean_over_those_of_one_unit(two) -> None:
    row = two.of("full").row
    for unit, tasks in (("frac", ("facts", "grammar")), ("nats/token", ("stories",))):
        changes = [end.of(t).mean - two.scores.base(t).mean for (end,) in row.ends for t in tasks]
        number = two.of("full").numbers[ability_column(unit)]
        assert number.value == pytest.approx(np.mean(changes))
        assert number.unit == unit
        assert number.spread.low < number.value < number.spread.high


def test_intervals_cover_items_orders_and_seeds_where_there_are_several(two, build) -> None:
    assert two.of("full").numbers[BWT].covers == ("items", "orders", "seeds")
    single = analysed(build(orders=1, seeds=(1,)), 50)
    assert single.of("full").numbers[BWT].covers == ("items",)


def test_runs_are_drawn_as_metrics_of_sequences_draw_them(two) -> None:
    draws = resample_runs(two.of("full").row.runs, 100)
    by_run = final_accuracy.terms(final_accuracy.view(draws.scores, draws.alone)).mean(axis=-1)
    assert np.allclose(levelled(by_run, draws.sources), draws.draws(final_accuracy))


def test_a_paired_difference_is_surer_than_its_parts(two) -> None:
    gap = difference(two.of("trace_probe"), two.of("full"), "learning_accuracy", two).spread
    alone = two.of("full").numbers["learning_accuracy"].spread
    assert gap.high - gap.low < 0.5 * (alone.high - alone.low)


def test_ceilings_of_different_rows_are_not_subtracted_from_each_other(build) -> None:
    evidence = build(settings={"trace_probe": "lora", "full": "other"})
    twin = next(e for e in evidence.entrants if e.label == "lora alone").model_copy(
        update={"label": "other alone", "setting": "other"}
    )
    found = analysed(evidence.model_copy(update={"entrants": (*evidence.entrants, twin)}), 20)
    number = difference(found.of("trace_probe"), found.of("full"), "intransigence", found)
    assert "trace_probe is held against lora alone outside the sequence, full against other alone" in number.reason


def test_rows_outside_of_sequences_have_an_end_and_say_why_nothing_was_lost(two) -> None:
    for name, reason in (
        ("lora alone", "each task is trained by itself"),
        ("full jointly", "all tasks are trained at once"),
        (BASE, "nothing was trained"),
    ):
        numbers = two.of(name).numbers
        assert numbers["final_accuracy"].value is not None
        assert numbers[BWT].value is None
        assert reason in numbers[BWT].reason
    assert two.of("lora alone").numbers["final_accuracy"].value == pytest.approx(0.85, abs=0.01)


def test_tasks_alone_are_the_ceiling_before_tasks_mixed_and_the_same_method_before_others(build) -> None:
    found = analysed(build(settings={"trace_probe": "lora"}), 50)
    assert found.of("full").row.ceiling == "lora alone"
    mean = found.of("full").numbers["intransigence"].value
    learnt = found.of("full").numbers["learning_accuracy"].value
    assert mean == pytest.approx(0.85 - learnt, abs=0.01)
    assert analysed(build(outside=False), 50).of("full").row.ceiling is None


def test_the_reference_is_full_and_controls_are_random(eighteen, build) -> None:
    assert (eighteen.reference, eighteen.controls) == ("full", ("trace_random", "random_mask"))
    assert analysed(build({"lora": (0.5, 0.1), "ewc": (0.5, 0.1)}), 20).reference == "lora"


def test_chains_that_broke_off_take_no_part_and_are_counted(eighteen) -> None:
    row = eighteen.of("o_lora").row
    assert (len(row.runs), row.asked) == (6, 9)


def test_differences_are_paired_over_chains_that_both_finished(eighteen) -> None:
    one, other = eighteen.of("o_lora"), eighteen.of("full")
    chains = [(run.order, run.seed) for run in one.row.runs]
    own = [backward_transfer_gem(run.matrix) for run in one.row.runs]
    theirs = [backward_transfer_gem(run.matrix) for run in other.row.runs if (run.order, run.seed) in chains]
    assert difference(one, other, BWT, eighteen).value == pytest.approx(np.mean(own) - np.mean(theirs))


def test_of_tasks_alone_a_seed_that_lacks_one_takes_no_part(build) -> None:
    evidence = build({"full": (0.6, 0.1)}, tasks=("recall", "sums"), orders=1, items=8)
    *others, alone, jointly = evidence.entrants
    lacking = alone.model_copy(update={"runs": alone.runs[1:]})
    row = analysed(evidence.model_copy(update={"entrants": (*others, lacking, jointly)}), 20).of("lora alone").row
    assert ([run.seed for run in row.runs], row.asked) == ([2, 3], 3)


def test_a_number_without_a_value_is_never_taken_for_nothing() -> None:
    assert Number(0.5).known == 0.5
    with pytest.raises(NotMeasurable, match="no run was finished"):
        assert undefined("no run was finished").known


def test_an_entrant_without_a_finished_chain_has_reasons(build) -> None:
    found = analysed(build(broken={"full": 0}, seeds=(1,)), 20)
    assert found.of("full").numbers[BWT].reason == "no run was finished"
    assert found.reference == "trace_probe"
    lacking = difference(found.of("full"), found.of("trace_probe"), BWT, found)
    assert lacking.reason == "full: no run was finished"


def test_log_likelihoods_are_averaged_in_their_own_unit(build) -> None:
    tasks = ("recall", "sums", "cant")
    found = analysed(build(tasks=tasks, text_tasks=(*tasks, "stories")), 200)
    number = found.of("full").numbers[BWT]
    # Twice the loss of levels, for 2 and 1 stages.
    assert number.value == pytest.approx(-0.3, abs=0.05)
    assert number.unit == "nats/token"
    assert found.of(BASE).numbers["final_accuracy"].value == pytest.approx(-2.6)
    assert "takes 0 for nothing" in found.of("full").numbers["relative_retention"].reason


def test_tasks_in_different_units_have_no_average(build) -> None:
    found = analysed(build(text_tasks=("sums", "stories")), 20)
    assert found.unit is None
    assert "no common mean" in found.of("full").numbers[BWT].reason


def test_one_task_has_no_backward_transfer(build) -> None:
    found = analysed(build(tasks=("recall",), orders=1), 20)
    assert "there is only one" in found.of("full").numbers[BWT].reason
    assert found.of("full").numbers["final_accuracy"].value == pytest.approx(0.8, abs=0.03)


def scored(ids: tuple[str, ...], values: tuple[float, ...], weights: tuple[float, ...]) -> TaskScores:
    return TaskScores(task="t", ask="read", unit="nats/token", ids=ids, values=values, weights=weights)


def test_items_of_texts_have_the_weighted_mean() -> None:
    base = scored(("a", "b"), (-2.0, -1.0), (1.0, 3.0))
    later = scored(("a", "b"), (-3.0, -0.5), (1.0, 3.0))
    assert items_of(later, base).mean() == pytest.approx(later.mean)


def test_equal_items_of_texts_stay_equal_whatever_their_length() -> None:
    base = scored(("a", "b"), (-2.0, -2.0), (1.0, 30.0))
    assert items_of(base, base).tolist() == pytest.approx([-2.0, -2.0])


def test_a_scale_leads_there_and_back() -> None:
    scale = Scale("nats/token", -4.0, 2.0)
    assert scale.on(np.array([-4.0, -3.0])).tolist() == [0.0, 0.5]
    assert (scale.back(0.5, "level"), scale.back(0.5, "difference"), scale.back(0.5, "ratio")) == (-3.0, 1.0, 0.5)


def test_other_items_than_those_of_the_base_are_refused(build) -> None:
    evidence = build(orders=1, seeds=(1,), outside=False)
    shuffled = [scores.model_copy(update={"ids": scores.ids[::-1]}) for scores in evidence.base_test.tasks]
    base = PointScores(split="test", tasks=tuple(shuffled))
    with pytest.raises(UnusableScores, match=r"'recall' was asked on other items.*score all on the same ones"):
        analysed(evidence.model_copy(update={"base_test": base}), 20)


def test_a_missing_score_is_refused_with_whose_it_is(build) -> None:
    evidence = build(orders=1, seeds=(1,), outside=False)
    base = PointScores(split="test", tasks=evidence.base_test.tasks[1:])
    with pytest.raises(UnusableScores, match="no scores of the untouched base on 'recall'"):
        analysed(evidence.model_copy(update={"base_test": base}), 20)
