"""What every stage of a sequence will be asked is settled before any of them runs."""

from __future__ import annotations

from pathlib import Path

from curricula import small_curriculum

from holdfast.arena.sequence.plan import planned_sequence

TASKS = ("cant", "diagnosis", "working")


def test_stages_of_reported_sequences_step_back_and_no_others_do(tmp_path: Path) -> None:
    rule = "keep_gain(0.9)"
    rows = {"methods": ("lora",), "alone": ("lora",), "jointly": ("lora",)}
    plan = planned_sequence(small_curriculum(tasks=TASKS, **rows, rewind_rule=rule, rewind_points=3), tmp_path)
    found = {
        (label, reported): {
            stage.way_back and stage.way_back.rule
            for lessons in plan.lessons_of(row)
            for stage in plan.chain_job(row, lessons, 0.1, 1, "base", reported=reported).stages
        }
        for label, row in plan.rows.items()
        for reported in (True, False)
    }
    assert {which: rules for which, rules in found.items() if rules != {None}} == {("lora", True): {rule}}


def test_a_stage_steps_back_by_validation_items_of_its_task_and_of_what_is_to_be_kept(tmp_path: Path) -> None:
    options = {"validation_items": 5, "test_items": 7, "rewind_rule": "keep_gain(0.9)", "rewind_points": 3}
    plan = planned_sequence(small_curriculum(tasks=TASKS, **options), tmp_path)
    row = plan.rows["lora"]
    stage = plan.chain_job(row, plan.lessons_of(row)[0], 0.1, 1, "base", reported=True).stages[1]
    way = stage.way_back
    assert way is not None
    assert (way.points, way.learn, way.base) == (3, ("diagnosis",), None)
    assert [(exam.split, exam.limit) for exam in (way.chooses, way.reports)] == [("validation", 5), ("test", 7)]
    for exam in (way.chooses, way.reports):
        assert list(exam.tasks) == ["diagnosis", "cant", "recall"], "no task that is learned later"


def test_chains_of_the_search_are_validated_after_every_stage_and_reported_ones_tested(tmp_path: Path) -> None:
    plan = planned_sequence(small_curriculum(tasks=TASKS), tmp_path)
    row = plan.rows["lora"]
    splits = [
        [
            [exam.split for exam in stage.exams]
            for stage in plan.chain_job(row, lessons, 0.1, 1, "base", reported=it).stages
        ]
        for lessons in plan.lessons_of(row)
        for it in (False, True)
    ]
    assert splits == [[["validation"]] * 3, [["test"]] * 3]
