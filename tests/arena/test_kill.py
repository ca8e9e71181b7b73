"""A comparison that is killed at random moments is finished by the same command, as if nothing had happened."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from commands import holdfast
from contests import SMALL, HereAndNow

RECIPE = {**SMALL, "methods": ["lora", "full"], "max_steps": 30, "checkpoints": 4}
PATIENCE_S = 900
"""A comparison that hangs is to be told from a machine that is busy."""


@pytest.fixture(scope="module")
def recipe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = {**RECIPE, "learning_rate_tries": request.param}
    file = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    file.write_text(yaml.safe_dump({key: list(v) if isinstance(v, tuple) else v for key, v in written.items()}))
    return file


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison that nobody disturbed, its jobs one after the other."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("holdfast.arena.executor.LocalPool", lambda workers: HereAndNow())
        done = holdfast("arena", str(recipe), "--output_dir", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


class Comparison:
    """A comparison in a process of its own, which tells when it has loaded everything and is at work."""

    def __init__(self, recipe: Path, folder: Path) -> None:
        command = [sys.executable, "-m", "holdfast.cli.main", "arena", str(recipe), "--output_dir", str(folder)]
        self.process = subprocess.Popen([*command, "--workers", "2"], stdout=subprocess.PIPE, text=True)
        self.at_work = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None, "it was asked for"
        with self.process.stdout as lines:
            for line in lines:
                if line.startswith("the untouched base"):
                    self.at_work.set()

    def ended(self, within_s: float) -> bool:
        """Whether it ends by itself within a time, and ends well."""
        try:
            assert self.process.wait(within_s) == 0
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join()


def killed_on_the_way(recipe: Path, folder: Path, draw: random.Random, most: int, begun: dict[Path, bytes]) -> int:
    """Start, kill, start again, until it ends; what was trained once is never trained again. Returns the kills."""
    kills = 0
    while True:
        comparison = Comparison(recipe, folder)
        assert comparison.at_work.wait(PATIENCE_S)
        if comparison.ended(within_s=draw.uniform(0.0, 5.0) if kills < most else PATIENCE_S):
            return kills
        comparison.kill()
        kills += 1
        for mark in folder.glob("runs/*/trained.json"):
            assert begun.setdefault(mark, mark.read_bytes()) == mark.read_bytes(), f"{mark} was trained twice"


def measured(folder: Path) -> dict[str, object]:
    """All that was measured, but for time and memory."""
    evidence = json.loads((folder / "evidence.json").read_text())
    del evidence["environment"]
    for entrant in evidence["entrants"]:
        del entrant["costs"]
    return evidence


@pytest.mark.parametrize(
    ("recipe", "kills"), [(1, 1), pytest.param(2, 24, marks=pytest.mark.slow)], indirect=["recipe"]
)
def test_killed_comparisons_end_as_the_undisturbed_one(recipe: Path, whole: Path, tmp_path: Path, kills: int) -> None:
    draw = random.Random(max(kills, 2))  # drawn so, a single kill falls when some of the work is done
    done = trial = 0
    while done < kills:
        folder = tmp_path / str(trial)
        folder.mkdir()
        begun: dict[Path, bytes] = {}
        done += killed_on_the_way(recipe, folder, draw, kills - done, begun)
        trial += 1
        assert measured(folder) == measured(whole)
        assert (folder / "records.jsonl").read_bytes() == (whole / "records.jsonl").read_bytes()
        assert all(mark.read_bytes() == content for mark, content in begun.items())
        assert not list(folder.rglob(".*.json.*")), "half-written files are left"
