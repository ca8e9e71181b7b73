"""The command prints every number with its definition, and reasons in place of numbers that are not defined."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from holdfast.cli.continual import continual
from holdfast.core.errors import BadData, HoldfastError, RecipeError
from holdfast.metrics.tradeoff import UnusableScores

TABLE = "a,b,c\n.20,.10,.30\n.80,.15,.28\n.85,.60,.35\n.75,.50,.90\n"
PERCENT = "a,b,c\n20,10,30\n80,15,28\n85,60,35\n75,50,90\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    for name, text in {"r.csv": TABLE, "percent.csv": PERCENT, "alone.csv": "c,a,b\n.92,.85,.65\n"}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def records(capsys: pytest.CaptureFixture[str]) -> dict[str, dict]:
    return {record["quantity"]: record for record in json.loads(capsys.readouterr().out)}


def test_numbers_stand_beside_their_definitions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    continual(Path("r.csv"), Path("alone.csv"))
    told = capsys.readouterr().out
    assert told.startswith("3 tasks in training order: a, b, c\n")
    lines = {line.split()[0]: line for line in told.splitlines() if line}
    assert lines["final_accuracy"].split()[1] == "0.7167"
    assert lines["forgetting_avalanche"].rstrip().endswith("mean of earlier tasks: minus backward_transfer_gem")
    assert lines["normalised_score_mean_of_ratios_alone"].split()[1] == "0.8471"
    assert lines["general_delta"].split()[1] == "–"
    assert told.endswith("\nundefined: no scores of safety abilities were given\n")


def test_reasons_stand_below_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "lower.csv").write_text("a,[bold]\n,\n.6,\n.7,.5\n")
    continual(Path("lower.csv"))
    told = capsys.readouterr().out
    assert (
        "undefined: forward_transfer_zero_shot needs what was not measured: "
        "R[0, 2] ('[bold]' on the untouched base), R[1, 2] ('[bold]' after stage 1)\n"
    ) in told


def test_records_are_printed_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    continual(Path("r.csv"), as_json=True)
    found = records(capsys)
    assert found["final_accuracy"]["value"] == pytest.approx(0.716667, abs=1e-6)
    assert found["final_accuracy"]["subject"] == "r.csv"
    assert "value" not in found["intransigence_alone"]


def test_percent_gives_what_fractions_give(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    continual(Path("r.csv"), as_json=True)
    plain = records(capsys)
    continual(Path("percent.csv"), percent=True, as_json=True)
    other = records(capsys)
    assert {k: r.get("value") for k, r in other.items()} == pytest.approx({k: r.get("value") for k, r in plain.items()})
    with pytest.raises(UnusableScores, match="are they percent"):
        continual(Path("percent.csv"))


def test_joint_training_is_in_the_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    continual(Path("r.csv"), Path("alone.csv"), jointly=True, as_json=True)
    assert records(capsys)["intransigence_jointly"]["value"] == pytest.approx(0.04)


def test_json_brings_its_own_abilities(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    general = {"names": ["g"], "scores": [[-2.0], [-2.5]], "unit": "nats/token"}
    whole = {"tasks": ["a"], "scores": [[None], [50]], "alone": [60], "jointly": True, "abilities": [general]}
    (folder / "r.json").write_text(json.dumps(whole))
    continual(Path("r.json"), percent=True, as_json=True)
    found = records(capsys)
    assert found["intransigence_jointly"]["value"] == pytest.approx(0.1)
    assert (found["general_delta"]["value"], found["general_delta"]["unit"]) == (-0.5, "nats/token")
    with pytest.raises(
        RecipeError, match=r"--alone alone.csv was given, and r.json holds such scores too; leave one out"
    ):
        continual(Path("r.json"), Path("alone.csv"))


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("a,b,a\n0,0,0\n0,0,0\n0,0,0\n0,0,0\n", UnusableScores, "'a' is that of tasks 1 and 3"),
        ("a,b\n0,0\n0,0\n", UnusableScores, "if the base was not measured, begin with a row of missing scores"),
        ("a,b\n0,0\n", UnusableScores, "found shape (1, 2)"),
        ("a,b\n", UnusableScores, "a column a task and one row more than columns"),
        ("a,b\n0,0\n0,-1\n0,0\n", UnusableScores, "R[1, 2] ('b' after stage 1) is -1, and scores lie within 0 and 1"),
        ("a,b\nbase,0\n", BadData, "'base' is not a number"),
    ],
)
def test_faults_of_the_file_are_told(folder: Path, text: str, error: type[HoldfastError], told: str) -> None:
    (folder / "bad.csv").write_text(text)
    with pytest.raises(error) as found:
        continual(Path("bad.csv"))
    assert told in str(found.value)
    assert found.value.exit_code == 3


def test_jointly_needs_scores_to_speak_of(folder: Path) -> None:
    with pytest.raises(RecipeError, match="--jointly says how the scores of --alone came about, and there are none"):
        continual(Path("r.csv"), jointly=True)


def test_the_command_takes_its_options(folder: Path) -> None:
    app = typer.Typer()
    app.command()(continual)
    done = CliRunner().invoke(app, ["percent.csv", "--percent", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)[0]["value"] == pytest.approx(0.716667, abs=1e-6)


def test_no_torch_is_needed(folder: Path) -> None:
    script = (
        "import sys; from holdfast.cli.main import app\n"
        "app(['continual', 'r.csv'], standalone_mode=False)\n"
        "heavy = {'torch', 'transformers', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "backward_transfer_gem" in done.stdout
