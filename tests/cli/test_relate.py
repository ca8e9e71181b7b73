"""What was measured is not measured again, unless it is asked for otherwise; the report lies in a folder of its own."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from holdfast.cli import relate as command
from holdfast.cli.relate import MEASURED, REPORT, relate
from holdfast.core.errors import DamagedCheckpoint, NotMeasurable
from holdfast.core.foretelling import SIZE, Foretelling, LeftOut, Measured, Settings, read_foretelling
from holdfast.report.relations import analysis


def measured(settings: Settings) -> Foretelling:
    return Foretelling(
        base="tiny",
        learn=("sums",),
        keep=("facts",),
        settings=settings,
        prompts={"general": 9},
        checkpoints=tuple(
            Measured(
                family=family,
                seed=seed,
                step=10,
                gain=0.5 + 0.1 * seed,
                forgetting=0.2 * lost + 0.01 * seed,
                measures={SIZE: 1.0 + lost + 0.1 * seed, "stable_rank": 3.0 - seed},
            )
            for lost, family in enumerate(("lora", "full", "ia3"))
            for seed in (1, 2)
        ),
        left_out=(LeftOut(family="layernorm", seed=1, step=10, reason="no matrix"),),
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A comparison that was measured with the settings that the command takes when it is told nothing."""
    (tmp_path / MEASURED).write_text(measured(Settings()).model_dump_json())
    monkeypatch.setattr(analysis, "related", partial(analysis.related, resamples=50))
    return tmp_path


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """With which settings checkpoints were measured, no model being opened, and nothing written for people."""
    asked: list[Settings] = []

    def measure(folder: Path, settings: Settings) -> Foretelling:
        asked.append(settings)
        return measured(settings)

    monkeypatch.setattr(command, "_measured", measure)
    monkeypatch.setattr(command, "published", lambda found, folder: None)
    return asked


def test_what_was_measured_becomes_a_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / MEASURED).read_text()
    relate(folder)
    assert (folder / MEASURED).read_text() == before
    assert {path.name for path in (folder / REPORT).iterdir()} == {
        "report.html",
        "geometry.md",
        "records.jsonl",
        "figures",
    }
    told = capsys.readouterr().out
    assert told.startswith("forgetting of 6 checkpoints of 3 methods and 2 seeds against their geometry, 95% intervals")
    assert "\n stable_rank " in told
    assert "Fewer than five methods" in told
    assert "Not measured: layernorm seed 1 step 10 (no matrix)\n" in told
    assert told.endswith(f"\n{folder / REPORT / 'report.html'}\n")


def test_with_the_same_settings_nothing_is_measured(folder: Path, anew: list[Settings]) -> None:
    relate(folder)
    assert anew == []


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"every_checkpoint": True}, Settings(every_checkpoint=True)),
        ({"max_prompts": 5}, Settings(max_prompts=5)),
        ({"tokens_per_prompt": 6}, Settings(tokens_per_prompt=6)),
        ({"again": True}, Settings()),
    ],
)
def test_other_settings_are_measured_anew_and_kept(folder: Path, anew: list[Settings], options, settings) -> None:
    relate(folder, **options)
    assert anew == [settings]
    assert read_foretelling(folder / MEASURED).settings == settings


def test_what_was_never_measured_is_measured(tmp_path: Path, anew: list[Settings]) -> None:
    relate(tmp_path)
    assert anew == [Settings()]
    assert (tmp_path / MEASURED).is_file()


def test_a_damaged_measurement_is_refused(folder: Path) -> None:
    (folder / MEASURED).write_text("{}")
    with pytest.raises(DamagedCheckpoint, match=r"geometry\.json does not hold measured checkpoints: Field required"):
        relate(folder)


def test_too_few_checkpoints_leave_no_report(folder: Path) -> None:
    few = measured(Settings())
    (folder / MEASURED).write_text(few.model_copy(update={"checkpoints": few.checkpoints[:2]}).model_dump_json())
    with pytest.raises(NotMeasurable, match="needs at least 3 measured checkpoints, found 2; not measured: layernorm"):
        relate(folder)
    assert not (folder / REPORT).exists()
