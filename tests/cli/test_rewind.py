"""The command finds the point or writes the one that was named, and says what is wrong before anything is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from safetensors.torch import load_file, save_file
from small import METHODS, moved
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.cli.rewind import REPORT, REWINDING
from holdfast.core.errors import BadData, DamagedCheckpoint, IncompatibleUpdate, NotMeasurable, RecipeError, UnknownName
from holdfast.core.rewinding import read_rewinding
from holdfast.metrics.operating_point import rules
from holdfast.models.base import located, open_base
from holdfast.weights.quiet import quiet

Command = Callable[..., str]


@pytest.fixture
def run() -> Command:
    def command(*words: object) -> str:
        done = CliRunner().invoke(app, ["rewind", "miniature", *map(str, words)], env={"COLUMNS": "100"})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output

    return command


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for name in ("lora", "hra"):
        folders[name] = tmp_path_factory.mktemp("rewind") / name / "checkpoints" / "step-000004"
        attachment = moved(METHODS[name], open_base("miniature").model)
        attachment.save(folders[name])
        save_file(dict(attachment.initial()), folders[name].parents[1] / "initial.safetensors")
    return folders


def test_a_named_point_is_written_without_any_data(run: Command, adapters: dict[str, Path], tmp_path: Path) -> None:
    said = run(adapters["lora"], "--at", 0.5, "--output_dir", tmp_path / "out")
    assert "the point at 0.5 of the path 'additive'" in said
    before, after = (load_file(folder / "adapter_model.safetensors") for folder in (adapters["lora"], tmp_path / "out"))
    for name, tensor in before.items():
        factor = 0.5 if "lora_B" in name else 1.0
        assert (after[name] - factor * tensor).abs().max() <= 1e-7
    with quiet():
        PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(located("miniature")), str(tmp_path / "out"))
    told = json.loads((tmp_path / "out" / "holdfast.json").read_text())
    assert (told["path"], told["t"], told["base"]) == ("additive", 0.5, "miniature")
    assert told["rewound_from"] == str(adapters["lora"])


def test_a_run_keeps_where_its_adapter_started_and_the_command_finds_it(
    run: Command, adapters: dict[str, Path], tmp_path: Path
) -> None:
    assert "of the path 'own'" in run(adapters["hra"], "--at", 0.5, "--path", "own", "--output_dir", tmp_path / "out")
    moved_away = tmp_path / "elsewhere" / "checkpoints" / "hra"
    moved_away.parent.mkdir(parents=True)
    adapters["hra"].rename(moved_away)
    try:
        with pytest.raises(NotMeasurable, match="started at random and nobody kept its initial value"):
            run(moved_away, "--at", 0.5, "--path", "own", "--output_dir", tmp_path / "other")
        kept = adapters["hra"].parents[1] / "initial.safetensors"
        said = run(moved_away, "--at", 0.5, "--path", "own", "--initial", kept, "--output_dir", tmp_path / "other")
        assert "of the path 'own'" in said
    finally:
        moved_away.rename(adapters["hra"])


def test_a_search_writes_checkpoint_page_records_and_card(
    run: Command, adapters: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An adapter moved at random teaches nothing: that a point is chosen all the same is made up here.
    monkeypatch.setattr(rules.OneStandardError, "pick", lambda self, curve: 1)
    out = tmp_path / "out"
    said = run(
        adapters["lora"], "--learn", "cant", "--keep", "recall", "--keep", "chronicle", "--limit", 24, "--budget", 3,
        "--path", "best", "--path", "own", "--path", "geodesic", "--checkpoints", adapters["lora"].parent, "--test",
        "--output_dir", out,
    )  # fmt: skip
    found = read_rewinding(out / REPORT / REWINDING)
    assert (found.learn, found.keep) == (("cant",), ("recall", "chronicle"))
    assert (found.walk.path, [rival.path for rival in found.rivals]) == ("additive", ["own", "checkpoints"])
    assert found.refused == {"geodesic": "the rotations of a lora adapter: it has none"}
    assert set(found.test) == {"0", f"{found.t:g}", "1"}
    assert all(scores.split == "test" for scores in found.test.values())
    names = {path.name for path in out.iterdir()}
    assert names == {"README.md", "adapter_config.json", "adapter_model.safetensors", "holdfast.json", REPORT}
    assert "## What it kept" in (out / "README.md").read_text()
    assert (out / REPORT / "report.html").is_file() and (out / REPORT / "records.jsonl").is_file()
    assert json.loads((out / "holdfast.json").read_text())["rule"] == "one_standard_error"
    assert str(out / REPORT / "report.html") in said.replace("\n", "")


def test_nothing_is_written_where_the_base_itself_is_best(
    run: Command, adapters: dict[str, Path], tmp_path: Path
) -> None:
    said = run(
        adapters["lora"], "--learn", "cant", "--keep", "recall", "--limit", 24, "--budget", 3, "--output_dir",
        tmp_path / "out", "--json", "--skip_decided",
    )  # fmt: skip
    start = said.index("{")
    found = json.loads(said[start : said.rindex("}") + 1])
    assert (found["t"], found["verdict"]) == (0.0, "this update does not help")
    assert set(found["walk"]["skipped"]) == {"cant", "recall"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {REPORT}


def test_a_checkpoint_of_another_base_is_refused(run: Command, adapters: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(adapters["lora"], tmp_path / "tuned")
    record = {"base": "another", "base_identity": "0123456789abcdef"}
    (tmp_path / "tuned" / "holdfast.json").write_text(json.dumps(record))
    with pytest.raises(IncompatibleUpdate) as caught:
        run(tmp_path / "tuned", "--at", 0.5, "--output_dir", tmp_path / "out")
    said = str(caught.value)
    assert "was made from 'another' with weights 01234567, and those of 'miniature' are " in said
    assert said.endswith("its way back leads to another model; give the base it was made from")


def test_what_is_wrong_is_said_before_anything_is_asked(
    run: Command, adapters: dict[str, Path], tmp_path: Path
) -> None:
    tuned = adapters["lora"]
    faults: list[tuple[type[Exception], tuple[Any, ...], str]] = [
        (BadData, (), "name what was learned (--learn) and what is to be kept (--keep), or a point (--at)"),
        (BadData, ("--learn", "cant"), "name what was learned"),
        (UnknownName, ("--at", 1, "--rule", "best"), "unknown rule of choice 'best'"),
        (RecipeError, ("--learn", "cant", "--keep", "recal"), "unknown task, suite or file 'recal'"),
        (UnknownName, ("--learn", "cant", "--keep", "recall", "--split", "dev"), "unknown split 'dev'"),
        (NotMeasurable, ("--at", 0.5, "--path", "straight"), "unknown path 'straight'"),
        (BadData, ("--at", 0.5, "--output_dir", tuned), "is there already and is not written over"),
        (BadData, ("--at", 0.5, "--checkpoints", tmp_path), "holds no folder with a step in its name"),
        (DamagedCheckpoint, ("--at", 0.5, "--initial", tmp_path / "no.safetensors"), "is missing: was the folder"),
        (BadData, ("--learn", "cant", "--keep", "cant", "--limit", 4), "'cant' is both to be learned and to be kept"),
    ]
    for kind, words, said in faults:
        given = (*words, *(() if "--output_dir" in words else ("--output_dir", tmp_path / "out")))
        with pytest.raises(kind) as caught:
            run(tuned, *given)
        assert said in str(caught.value)
        assert not (tmp_path / "out").exists()
