"""Commands say what is wrong with rotations, refuse what turns backwards, and tell where layer-wise paths are level."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from layers import drifting
from safetensors.torch import load_file, save_file
from small import moved
from typer.testing import CliRunner

from holdfast.cli.diagnose import DIAGNOSIS
from holdfast.cli.main import app
from holdfast.core.diagnosis import read_diagnosis
from holdfast.core.errors import BadData, DamagedCheckpoint, NotMeasurable
from holdfast.methods.lora import Lora
from holdfast.methods.oft import Oft
from holdfast.models.base import open_base
from holdfast.report.diagnosis import publish
from holdfast.store.spectra import CACHE
from holdfast.weights.moving import CONFIG, WEIGHTS
from holdfast.weights.paths.complaints import marks_to_record, recorded_marks
from holdfast.weights.paths.sign_trap import repaired

TRAP = "the adapter turns against its record (cosine -"
UNKNOWN = "whether use_cayley_neumann=True is what the adapter was trained with cannot be told from its folder"

Run = Callable[..., str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the series, with the record that training leaves beside it."""
    folder = tmp_path_factory.mktemp("oft")
    moved(Oft(block_size=16, exact=False), open_base("miniature").model, by=0.03).save(folder)
    (folder / "holdfast.json").write_text(json.dumps({"step": 8, **marks_to_record(folder)}), encoding="utf-8")
    return folder


@pytest.fixture
def series(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "series"))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command with the miniature as its base, and what it prints."""
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(publish, "publish_diagnosis", lambda diagnosis, folder: folder)  # ten seconds of figures

    def call(command: str, folder: Path, *words: str) -> str:
        shutil.rmtree(tmp_path / command, ignore_errors=True)
        output = ["--output_dir", str(tmp_path / command)]
        done = CliRunner().invoke(app, [command, "miniature", str(folder), *words, *output], catch_exceptions=False)
        return done.output

    return call


def flip(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(
        json.dumps(config | {"use_cayley_neumann": not config["use_cayley_neumann"]}), encoding="utf-8"
    )


def test_a_flipped_flag_is_told_by_a_diagnosis_and_refused_by_a_rewinding(
    run: Run, series: Path, tmp_path: Path
) -> None:
    flip(series)
    said = run("diagnose", series, "--no-controls")
    assert f"Mind: {TRAP}" in said
    (note,) = read_diagnosis(tmp_path / "diagnose" / DIAGNOSIS).notes
    assert note.startswith(TRAP)
    with pytest.raises(DamagedCheckpoint) as caught:
        run("rewind", series, "--at", "0.5")
    assert str(caught.value) == f"{series}: {note}"
    assert "set it back to True, or negate every oft_R tensor as well, which is the repair" in note
    assert not (tmp_path / "rewind").exists()


def test_the_repair_is_accepted_and_its_points_are_recorded_too(run: Run, series: Path, tmp_path: Path) -> None:
    tensors, config = repaired(load_file(series / WEIGHTS), json.loads((series / CONFIG).read_text(encoding="utf-8")))
    save_file(tensors, series / WEIGHTS, metadata={"format": "pt"})
    (series / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    assert "Mind" not in run("rewind", series, "--at", "0.5")
    written = Path(shutil.move(tmp_path / "rewind", tmp_path / "written"))
    assert recorded_marks(written) == marks_to_record(written)["turn_marks"]
    assert json.loads((written / "holdfast.json").read_text(encoding="utf-8"))["training"] == {"step": 8}
    flip(written)
    with pytest.raises(DamagedCheckpoint, match="set it back to False"):
        run("rewind", written, "--at", "0.5")


def test_without_a_record_both_say_so_and_no_record_is_made_up(run: Run, series: Path, tmp_path: Path) -> None:
    (series / "holdfast.json").unlink()
    assert f"Mind: {UNKNOWN}" in run("rewind", series, "--at", "0.5")
    assert recorded_marks(tmp_path / "rewind") is None
    assert f"Mind: {UNKNOWN}" in run("diagnose", series, "--no-controls")


def test_of_other_adapters_nothing_is_said(run: Run, tmp_path: Path) -> None:
    moved(Lora(r=2), open_base("miniature").model).save(tmp_path / "lora")
    assert "Mind" not in run("rewind", tmp_path / "lora", "--at", "0.5")


def test_where_layers_are_level_is_told_and_can_be_written(run: Run, series: Path, tmp_path: Path) -> None:
    said = run("rewind", series, "--path", "min_scale", "--at", "1")
    sentence = next(line for line in said.splitlines() if line.startswith("Mind: the path 'min_scale' passes"))
    at = sentence.split("t = ")[1].split(",")[0]
    run("rewind", series, "--path", "min_scale", "--at", at)
    found = json.loads((tmp_path / "rewind" / "holdfast.json").read_text(encoding="utf-8"))
    assert (found["path"], found["t"]) == ("min_scale", float(at))


def test_the_path_of_drift_goes_by_a_diagnosis_and_tells_whose(run: Run, series: Path, tmp_path: Path) -> None:
    with pytest.raises(NotMeasurable, match="nobody says how far they do: measure it with holdfast diagnose"):
        run("rewind", series, "--path", "drift", "--at", "0.5")
    sites = [name.split("model.model.", 1)[1].rsplit(".oft_R", 1)[0] for name in load_file(series / WEIGHTS)]
    file = tmp_path / "diagnosis.json"
    drifts = drifting({f"model.{site}": 0.01 * (1 + place) for place, site in enumerate(sites)})
    file.write_text(drifts.model_dump_json(), encoding="utf-8")
    said = run("rewind", series, "--path", "drift", "--drift", str(file), "--at", "0.5")
    assert f"Mind: the path 'drift' goes by a diagnosis of tuned, and {series} is rewound" in said
    own = drifts.model_copy(update={"tuned": str(series)})
    file.write_text(own.model_dump_json(), encoding="utf-8")
    assert "goes by a diagnosis" not in run("rewind", series, "--path", "drift", "--drift", str(file), "--at", "0.5")
    with pytest.raises(BadData) as caught:
        run("rewind", series, "--drift", str(file), "--at", "0.5")
    assert str(caught.value) == "--drift is what the path 'drift' goes by: ask for it with --path drift"


def test_a_search_keeps_what_must_be_minded(run: Run, series: Path, tmp_path: Path) -> None:
    (series / "holdfast.json").unlink()
    words = ("--learn", "arithmetic", "--keep", "recall", "--limit", "24", "--budget", "3", "--path", "min_scale")
    run("rewind", series, *words)
    notes = json.loads((tmp_path / "rewind" / "rewinding" / "rewinding.json").read_text(encoding="utf-8"))["notes"]
    assert notes[0].startswith(UNKNOWN) and notes[1].startswith("the path 'min_scale' passes its layer-wise point")
