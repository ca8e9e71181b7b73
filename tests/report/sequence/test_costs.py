"""What a row costs, from what was metered and from the facts of its stages."""

from __future__ import annotations

import pytest

from holdfast.core.evidence import RateTry
from holdfast.core.record import Record
from holdfast.core.sequence_evidence import ChainRun, SequenceEntrant, Stage
from holdfast.report.sequence.costs import cell_of, cost_cell, probe_cells, rate_cell, stored_cell


def entrant(build, label: str, **changes: object) -> SequenceEntrant:
    evidence = build({"full": (0.6, 0.1)}, tasks=("recall", "sums"), keep=(), orders=1, seeds=(1, 2), items=4)
    (found,) = (each for each in evidence.entrants if each.label == label)
    return found.model_copy(update=changes)


def with_facts(runs: tuple[ChainRun, ...], *facts: Record) -> tuple[ChainRun, ...]:
    def told(stage: Stage) -> Stage:
        return stage.model_copy(update={"facts": facts})

    return tuple(run.model_copy(update={"stages": tuple(map(told, run.stages))}) for run in runs)


def stored(size: float) -> Record:
    return Record(subject="run", quantity="stored_bytes", value=size, unit="bytes")


def test_a_sequence_keeps_what_all_its_stages_store(build) -> None:
    row = entrant(build, "full")
    cell = stored_cell(row.model_copy(update={"runs": with_facts(row.runs, stored(1024.0))}))
    assert (cell.main, cell.below, cell.order) == ("2.0 KiB", (), 2048.0)


def test_of_tasks_alone_a_checkpoint_a_task_is_kept(build) -> None:
    row = entrant(build, "lora alone")
    cell = stored_cell(row.model_copy(update={"runs": with_facts(row.runs, stored(1024.0))}))
    assert (cell.main, cell.below, cell.order) == ("2.0 KiB", ("2 checkpoints",), 2048.0)


def test_what_was_metered_goes_before_the_facts_of_stages(build) -> None:
    row = entrant(build, "full", costs=(stored(512.0),))
    assert stored_cell(row).order == 512.0
    assert cost_cell(row, "peak_memory").tip == "not measured"


def test_a_probe_is_counted_over_the_stages_of_a_chain(build) -> None:
    row = entrant(build, "full", costs=())
    steps = Record(subject="run", quantity="probe_steps", value=20.0)
    seconds = Record(subject="run", quantity="probe_s", value=0.25, unit="s")
    cell = probe_cells(row.model_copy(update={"runs": with_facts(row.runs, steps, seconds)}))
    assert (cell.main, cell.below) == ("500 ms", ("40 steps",))
    assert cell.tip == "probe s: 500 ms\nprobe steps: 40 steps"
    assert probe_cells(row).main == ""


def test_a_rate_stands_with_its_tries_and_its_absence_with_the_reason(build) -> None:
    tries = (RateTry(learning_rate=0.1, failure="the loss became infinite"),)
    row = entrant(build, "full", tries=tries)
    assert (rate_cell(row).main, rate_cell(row).below) == ("0.001", ("1 tried",))
    assert rate_cell(row.model_copy(update={"learning_rate": None})).tip == "all tries failed"
    assert rate_cell(row.model_copy(update={"learning_rate": None, "tries": ()})).tip == "none was chosen"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1.5, "x", "1.50\N{MULTIPLICATION SIGN}"), (12.5, "s", "12.5 s"), (3000.0, "tokens", "3,000 tokens")],
)
def test_a_cost_is_told_in_the_words_of_its_unit(value: float, unit: str, text: str) -> None:
    assert cell_of(Record(subject="a", quantity="b", value=value, unit=unit)).main == text


def test_a_cost_that_is_not_defined_has_its_reason() -> None:
    cell = cell_of(Record(subject="a", quantity="b", reason="no such device"))
    assert (cell.order, cell.tip) == (None, "no such device")
