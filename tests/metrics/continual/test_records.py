"""One record a metric, always the same ones, each with a number or a reason."""

from __future__ import annotations

import pytest

from holdfast.metrics.continual import Ceiling, ScoreMatrix, continual_metrics
from holdfast.metrics.continual.abilities import Abilities
from holdfast.metrics.continual.records import definitions
from holdfast.metrics.tradeoff import UnusableScores

ROWS = [(0.20, 0.10, 0.30), (0.80, 0.15, 0.28), (0.85, 0.60, 0.35), (0.75, 0.50, 0.90)]


def test_rows_of_numbers_are_enough() -> None:
    records = continual_metrics(ROWS, alone=(0.85, 0.65, 0.92))
    found = {record.quantity: record.value for record in records if record.value is not None}
    assert found == pytest.approx(
        {
            "final_accuracy": 0.716667,
            "anytime_accuracy": 0.747222,
            "learning_accuracy": 0.766667,
            "backward_transfer_gem": -0.075,
            "backward_transfer_trace_benchmark": -0.05,
            "forgetting_chaudhry": 0.10,
            "forgetting_mammoth": 0.10,
            "forgetting_avalanche": 0.075,
            "forward_transfer_zero_shot": 0.05,
            "relative_retention": 0.923611,
            "intransigence_alone": 0.04,
            "normalised_score_mean_of_ratios_alone": 0.847056,
            "normalised_score_ratio_of_means_alone": 0.851648,
        },
        abs=1e-6,
    )
    assert {record.quantity: record.reason for record in records if record.value is None} == {
        f"{kind}_delta": f"undefined: no scores of {kind} abilities were given"
        for kind in ("general", "instruction", "safety")
    }


def test_a_matrix_gives_what_its_rows_give() -> None:
    assert continual_metrics(ScoreMatrix.of(ROWS), subject="lora") == continual_metrics(ROWS, subject="lora")


def test_one_task_has_a_reason_where_others_would_be_needed() -> None:
    records = {record.quantity: record for record in continual_metrics([[0.1], [0.9]])}
    assert records["final_accuracy"].value == 0.9
    for name in ("backward_transfer_gem", "forgetting_chaudhry", "forward_transfer_zero_shot"):
        assert records[name].value is None
        assert records[name].reason == f"undefined: {name} compares tasks with each other, and there is only one"


def test_every_record_has_a_definition() -> None:
    words = definitions()
    for trained in ("alone", "jointly"):
        ceiling = Ceiling.of([0.9, 0.9, 0.9], trained=trained)
        assert all(words[record.quantity] for record in continual_metrics(ROWS, alone=ceiling))
    assert "GEM's baseline is a random network" in words["forward_transfer_zero_shot"]


def test_abilities_have_their_kind_and_their_unit() -> None:
    general = Abilities.of([[-2.0], [-2.1], [-2.2], [-2.4]], unit="nats/token")
    safety = Abilities.of([[0.5], [0.5], [0.5], [0.75]], kind="safety")
    found = {record.quantity: record for record in continual_metrics(ROWS, general=[general, safety])}
    assert (found["general_delta"].value, found["general_delta"].unit) == (pytest.approx(-0.4), "nats/token")
    assert (found["safety_delta"].value, found["safety_delta"].unit) == (0.25, "frac")
    assert found["instruction_delta"].value is None
    assert {record.quantity: record for record in continual_metrics(ROWS, general=safety)}["safety_delta"].value == 0.25


def test_what_does_not_belong_to_the_matrix_is_refused() -> None:
    with pytest.raises(UnusableScores, match="one score a task trained alone is needed, found 2 for 3 tasks"):
        continual_metrics(ROWS, alone=[0.5, 0.5])
    short = Abilities.of([[0.5], [0.5]])
    with pytest.raises(UnusableScores, match="for the untouched base and one a stage, found 2 rows for 3 stages"):
        continual_metrics(ROWS, general=short)
    with pytest.raises(UnusableScores, match="abilities are given once a kind, found general, general"):
        continual_metrics(ROWS, general=[short, short])
