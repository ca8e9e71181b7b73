"""The table of correlations says what was measured, what was tried, and what carries a sign."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from holdfast.core.foretelling import SIZE, Foretelling, LeftOut, Measured
from holdfast.report.relations import left_out, missing, related, relations_table, terminal_relations


@pytest.fixture
def found() -> Foretelling:
    """Six families of three seeds; CKA follows forgetting, stable rank does not, one measure is not everywhere."""
    rng = np.random.default_rng(0)
    checkpoints = []
    for family in range(6):
        for seed in range(3):
            forgetting = 0.1 * family + 0.02 * rng.normal()
            measures = {
                SIZE: float(np.exp(0.2 * rng.normal())),
                "cka_biased/general": float(1 - forgetting + 0.01 * rng.normal()),
                "stable_rank": float(rng.normal() + 5),
            }
            if family:
                measures["energy_seen_frac"] = 0.5
            checkpoints.append(
                Measured(
                    family=f"method {family}",
                    seed=seed,
                    step=10,
                    gain=float(rng.normal()),
                    forgetting=forgetting,
                    forgetting_draws=tuple((forgetting + 0.01 * rng.normal(size=20)).tolist()),
                    measures=measures,
                )
            )
    return Foretelling(base="tiny", learn=("sums",), keep=("facts",), prompts={}, checkpoints=tuple(checkpoints))


def test_size_comes_first_and_every_measure_that_is_everywhere_after_it(found: Foretelling) -> None:
    assert [relation.measure for relation in related(found, 200)] == [SIZE, "cka_biased/general", "stable_rank"]
    assert missing(found) == ("energy_seen_frac",)


def test_the_correlation_is_that_of_scipy(found: Foretelling) -> None:
    cka = related(found, 200)[1]
    rows = found.checkpoints
    wanted = stats.pearsonr([row.measures["cka_biased/general"] for row in rows], [row.forgetting for row in rows])
    assert cka.pearson.value == pytest.approx(wanted.statistic)  # type: ignore[union-attr]


def test_the_table_says_what_must_be_known_to_read_it(found: Foretelling) -> None:
    table = relations_table(found, related(found, 200))
    assert table.startswith("# Does geometry foretell what sums makes tiny forget?\n")
    assert "18 checkpoints of 6 methods and 3 seeds" in table
    assert "| cka_biased/general | -" in table and table.count("| -0.761 |") == 1
    assert f"| {SIZE} |" in table and "| is the size |" in table
    assert "Left out, since not defined for every checkpoint: energy_seen_frac." in table
    assert "adjusted for the 3 measures of this table" in table
    assert "indicative" not in table and "Not measured" not in table


def test_what_was_not_measured_is_told_once_a_reason(found: Foretelling) -> None:
    told = found.model_copy(
        update={
            "left_out": (
                LeftOut(family="norms", seed=1, step=10, reason="no matrix"),
                LeftOut(family="norms", seed=2, step=10, reason="no matrix"),
                LeftOut(family="full", seed=1, reason="diverged"),
            )
        }
    )
    assert left_out(told) == ("norms seed 1 step 10, norms seed 2 step 10 (no matrix)", "full seed 1 (diverged)")
    table = relations_table(told, related(told, 200))
    assert table.count("Not measured: ") == 2 and "Not measured: full seed 1 (diverged).\n" in table


def test_few_methods_are_called_indicative(found: Foretelling) -> None:
    few = found.model_copy(update={"checkpoints": found.checkpoints[:12]})
    assert "Fewer than five methods: the intervals are indicative only." in relations_table(few, related(few, 200))


def test_the_terminal_shows_a_line_a_measure(found: Foretelling) -> None:
    written = io.StringIO()
    Console(file=written, width=110).print(terminal_relations(related(found, 200)))
    lines = written.getvalue().strip().splitlines()
    assert len(lines) == 4
    assert "…" not in written.getvalue()
    assert lines[2].split()[0] == "cka_biased/general"
