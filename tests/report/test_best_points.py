"""Entrants at their best points are compared with where they ended, item by item and seed by seed."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.core.evidence import Evidence, RewoundRun
from holdfast.report.analysis import analysed
from holdfast.report.charts import tradeoff_chart
from holdfast.report.comparison import Comparison, RewoundResult
from holdfast.report.figures import figures
from holdfast.report.ledger import ledger_of
from holdfast.report.page import page
from holdfast.report.plane import plane_of
from holdfast.report.records import records_of
from holdfast.report.summary import summary
from holdfast.report.verdict import verdict

NO_WAY = "it adds virtual tokens"


def with_best_points(evidence: Evidence) -> Evidence:
    """Whoever has an entrant ``NAME at best`` is rewound to what that one scores."""
    best = {e.label.removesuffix(" at best"): e for e in evidence.entrants if e.label.endswith(" at best")}
    entrants = []
    for entrant in evidence.entrants:
        if entrant.label.endswith(" at best"):
            continue
        runs = []
        for place, run in enumerate(entrant.runs):
            if entrant.label not in best:
                runs.append(run.model_copy(update={"no_way_back": NO_WAY}))
                continue
            stays = entrant.label == "oft" and place == 0
            test = run.test if stays else best[entrant.label].runs[place].test
            assert test is not None
            found = RewoundRun(
                path="own",
                t=1.0 if stays else 0.5,
                step_frac=1.0 if stays else 0.6,
                rule="keep_gain(0.95)",
                verdict="rewind to 0.5",
                too_few="too few items" if entrant.label == "oft" else None,
                test=test,
                evaluations=4,
            )
            runs.append(run.model_copy(update={"rewound": found}))
        entrants.append(entrant.model_copy(update={"runs": tuple(runs)}))
    return evidence.model_copy(update={"entrants": tuple(entrants)})


@pytest.fixture(scope="module")
def evidence(build, made) -> Evidence:
    return with_best_points(
        build(
            {
                "lora": made(0.8, 0.6),
                "lora at best": made(0.8, 0.1),
                "oft": made(0.7, 0.3),
                "oft at best": made(0.7, 0.25),
                "prompt": made(0.2, 0.4),
            },
            items=80,
        )
    )


@pytest.fixture(scope="module")
def comparison(evidence: Evidence) -> Comparison:
    return analysed(evidence)


def best(comparison: Comparison, name: str) -> RewoundResult:
    found = comparison.point(name).rewound
    assert found is not None
    return found


def lost(evidence: Evidence, label: str, *, rewound: bool) -> float:
    entrant = next(entrant for entrant in evidence.entrants if entrant.label == label)
    losses = []
    for task in ("recall", "logic"):
        base = evidence.base_test.of(task)
        for run in entrant.runs:
            scores = (run.rewound.test if rewound and run.rewound else run.test).of(task)  # type: ignore[union-attr]
            losses.append(base.mean - scores.mean)  # type: ignore[union-attr]
    return float(np.mean(losses))


def test_forgetting_is_that_of_the_best_points_and_what_is_undone_is_the_difference(
    evidence: Evidence, comparison: Comparison
) -> None:
    for name in ("lora", "oft"):
        found = best(comparison, name)
        assert found.forgetting == pytest.approx(lost(evidence, name, rewound=True))
        assert found.undone == pytest.approx(lost(evidence, name, rewound=False) - lost(evidence, name, rewound=True))
        assert found.undone_interval[0] <= found.undone <= found.undone_interval[1]
        assert comparison.point(name).forgetting == pytest.approx(lost(evidence, name, rewound=False))
    assert best(comparison, "lora").undone_interval[0] > 0


def test_the_results_where_runs_ended_are_those_without_best_points(evidence: Evidence, comparison: Comparison) -> None:
    runs_ended = evidence.model_copy(
        update={
            "entrants": tuple(
                e.model_copy(update={"runs": tuple(r.model_copy(update={"rewound": None}) for r in e.runs)})
                for e in evidence.entrants
            )
        }
    )
    plain = analysed(runs_ended)
    for before, after in zip(plain.points, comparison.points, strict=True):
        assert before.rewound is None
        assert after.model_copy(update={"rewound": None}) == before


def test_the_share_of_the_gain_that_is_kept_stands_with_its_interval(comparison: Comparison) -> None:
    found = best(comparison, "lora")
    gained = comparison.point("lora").gain
    assert gained is not None and found.gain_kept_frac == pytest.approx(found.gain / gained)
    assert found.gain_kept_interval is not None
    assert found.gain_kept_interval[0] < found.gain_kept_frac < found.gain_kept_interval[1]  # type: ignore[operator]


def test_runs_that_stay_where_they_ended_are_counted(comparison: Comparison) -> None:
    found = best(comparison, "oft")
    assert (found.left, found.t, found.step_frac) == (1, (1.0, 0.5), pytest.approx(0.8))
    assert (best(comparison, "lora").left, best(comparison, "lora").evaluations) == (0, 8)


def test_the_frontier_is_that_of_best_points(comparison: Comparison) -> None:
    assert comparison.point("lora").on_frontier and comparison.point("oft").on_frontier
    assert best(comparison, "lora").on_frontier and not best(comparison, "oft").on_frontier


def test_who_has_no_way_back_is_told_and_has_no_best_point(comparison: Comparison) -> None:
    assert comparison.point("prompt").rewound is None
    assert f"No way back, so left where they ended: prompt ({NO_WAY})." in comparison.notes
    assert "In 2 of 4 runs the validation items were too few to be sure of the best point." in comparison.notes
    assert any(note.startswith("Final checkpoints are compared; the best points beside") for note in comparison.notes)


def test_the_verdict_says_what_rewinding_undoes_and_what_it_changes(comparison: Comparison, build, made) -> None:
    said = verdict(comparison)
    undone = best(comparison, "lora")
    assert f"Rewinding by keep_gain(0.95) undoes forgetting of lora, most of lora: {undone.undone:.3f} [" in said
    assert "It takes oft off the frontier." in said
    nothing = analysed(with_best_points(build({"lora": made(0.8, 0.3), "lora at best": made(0.8, 0.3)})))
    assert "Rewinding by keep_gain(0.95) undoes no forgetting beyond the noise." in verdict(nothing)
    assert "Rewinding" not in verdict(analysed(build({"lora": made(0.8, 0.3)})))


def test_table_and_records_hold_the_best_points(comparison: Comparison) -> None:
    ledger = ledger_of(comparison)
    assert ("rewound, by validation items", 4) in ledger.groups
    row = next(row for row in ledger.rows if row.point.name == "oft")
    first = [column.title for column in ledger.columns].index("undone") - 3
    assert row.cells[first].main == "0.80" and row.cells[first].below == ("1 of 2 left",)
    assert row.cells[first].tip == "at 1, 0.5 of the path 'own', by keep_gain(0.95)"
    records = {(r.subject, r.quantity): r for r in records_of(comparison)}
    found = best(comparison, "lora")
    assert records["lora", "rewound_undone"].value == found.undone
    assert records["lora", "rewound_undone"].spread == found.undone_interval
    assert ("prompt", "rewound_gain") not in records


def test_open_marks_lead_from_the_end_to_the_best_points(comparison: Comparison, evidence: Evidence) -> None:
    plane = plane_of(comparison)
    assert set(plane.best) == {"lora", "oft"}
    found = best(comparison, "lora")
    assert plane.best["lora"] == (found.kept_score, found.target_score)
    assert plane.kept_range[0] <= found.kept_score <= plane.kept_range[1]
    chart = tradeoff_chart(comparison)
    assert chart is not None
    marks = [trace for trace in chart["data"] if trace.get("mode") == "lines+markers"]
    assert [(trace["x"][1], trace["y"][1]) for trace in marks] == [plane.best["lora"], plane.best["oft"]]
    assert "<b>lora</b>, rewound<br>" in marks[0]["hovertext"][1] and "undone" in marks[0]["hovertext"][1]
    assert "rewound to the best points that validation items chose" in page(comparison)
    assert figures(comparison)["trade-off.png"] is not None


def test_a_comparison_without_best_points_has_no_open_marks(small: Comparison) -> None:
    assert plane_of(small).best == {}
    assert "rewound to the best points" not in page(small)


def test_the_summary_has_a_table_of_best_points(comparison: Comparison, small: Comparison) -> None:
    said = summary(comparison)
    assert "## Rewound to the best points of their runs" in said
    found = best(comparison, "oft")
    low, high = found.undone_interval
    row = next(line for line in said.splitlines() if line.startswith("| oft |") and "1 of 2" in line)
    assert row.endswith(f"| {found.undone:.3f} [{low:.3f}, {high:.3f}] |") and "| 0.80 | 1 of 2 |" in row
    assert "Rewound" not in summary(small)
