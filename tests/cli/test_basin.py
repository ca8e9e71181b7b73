"""The command measures and publishes, goes on where it was killed, and says what is wrong before a model is opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli.basin import KEPT, recipe_of
from holdfast.cli.main import app
from holdfast.cli.report import BASIN
from holdfast.core.basin import BasinMeasurement
from holdfast.core.errors import BadData, NotMeasurable, RecipeError
from holdfast.core.record import read_jsonl

Command = Callable[..., str]
QUICK = (
    *("--suite", "recall", "chronicle", "--items", "2", "--seeds", "2", "--sigmas", "1e-3", "1", "--tau", "0.6"),
    *("--level", "0.5", "--certificate_directions", "3", "--most_directions", "20"),
    *("--worst_sigmas", "1e-3", "--worst_steps", "2", "--worst_examples", "2"),
)


@pytest.fixture
def run() -> Command:
    def command(*words: object) -> str:
        done = CliRunner().invoke(app, ["basin", "miniature", *map(str, words)], env={"COLUMNS": "100"})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output

    return command


def test_a_model_is_measured(run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "holdfast.report.basin.publish.published_basin", lambda found, folder, before: folder / "report.html"
    )
    said = run(*QUICK, "--output_dir", tmp_path / "out")
    found = BasinMeasurement.model_validate_json((tmp_path / "out" / BASIN).read_text())
    assert {(curve.ability, curve.direction) for curve in found.curves} == {
        ("recall", "random"),
        ("recall", "worst"),
        ("chronicle", "random"),
    }
    assert [width.ability for width in found.widths] == ["recall"] and found.hash_before == found.hash_after
    assert found.command is not None and found.command.startswith("holdfast basin miniature --suite recall chronicle")
    assert "report.html" in said and list((tmp_path / "out" / KEPT).glob("*.jsonl"))
    again = json.loads(run(*QUICK, "--output_dir", tmp_path / "out", "--json"))
    assert again["curves"] == json.loads(found.model_dump_json(exclude_none=True))["curves"]


@pytest.mark.slow
def test_the_measurement_is_published(run: Command, tmp_path: Path) -> None:
    said = run(*QUICK, "--output_dir", tmp_path / "out")
    assert (tmp_path / "out" / "report.html").is_file() and "report.html" in said
    assert list(read_jsonl(tmp_path / "out" / "records.jsonl"))


def test_options_take_several_words_and_a_recipe_is_read(tmp_path: Path) -> None:
    recipe = recipe_of(["folder", "--tuned", "a", "b", "--sigmas", "1e-3", "0.01", "--items=8"])
    assert recipe.model_name_or_path == "folder" and recipe.tuned == ("a", "b") and recipe.items == 8
    assert recipe.sigmas == (1e-3, 0.01)
    (tmp_path / "basin.yaml").write_text("model_name_or_path: folder\ntuned: [a, b]\n")
    written = recipe_of([str(tmp_path / "basin.yaml"), "--items", "8", "--sigmas", "1e-3", "0.01"])
    assert written == recipe and recipe_of([]).model_name_or_path == "miniature"


def test_options_are_listed(run: Command) -> None:
    said = run("--options")
    assert "--certificate_directions 44" in said and "How much of a score may be lost" in said


@pytest.mark.parametrize(
    ("words", "fault", "said"),
    [
        (("--sigmas", "0"), RecipeError, r"sigmas.0: input should be greater than 0, got 0"),
        (("--sigmas", "0.01", "-0.01"), RecipeError, r"sigmas.1: input should be greater than 0, got -0.01"),
        (("--suite", "nothing"), RecipeError, r"unknown task, suite or file 'nothing'"),
        (("--sigma", "0.01"), RecipeError, r"unknown option 'sigma': did you mean 'sigmas'\?"),
        (("--certificates", "lipschitz"), NotMeasurable, r"it has no finite one; use 'strong'"),
        (("--certificates", "token"), NotMeasurable, r"it has a counterexample with two words"),
    ],
)
def test_what_is_wrong_is_said_before_a_model_is_opened(
    run: Command, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], fault: type[Exception], said: str
) -> None:
    monkeypatch.setattr("holdfast.models.base.open_base", lambda *names, **options: pytest.fail("a model was opened"))
    with pytest.raises(fault, match=said):
        run(*words)


def test_a_file_without_items_is_refused(run: Command, tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(BadData):
        run("--suite", tmp_path / "none.jsonl", "--output_dir", tmp_path / "out")
    assert BASIN not in [file.name for file in tmp_path.rglob("*")]
