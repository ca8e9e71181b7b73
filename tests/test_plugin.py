"""A method from outside the tree is one file and one line, and takes part like any other."""

from __future__ import annotations

import tomllib
from pathlib import Path

from contests import HereAndNow, small_contest

from holdfast.arena.engine import compare
from holdfast.arena.executor import Unwatched
from holdfast.core import registry
from holdfast.testing.laws import broken_laws

PLUGIN = Path(__file__).parent / "plugin"


def test_the_plugin_is_one_file_and_one_line() -> None:
    files = [file for file in PLUGIN.rglob("*.py") if file.read_text()]
    assert len(files) == 1
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"holdfast.methods": {"shift": "holdfast_shift.shift:Shift"}}


def test_it_is_listed_with_where_it_comes_from() -> None:
    (found,) = [item for item in registry.listing("methods") if item.name == "shift"]
    assert found.package == "holdfast-shift 0.1.0"
    assert found.summary.startswith("A trained shift")


def test_it_keeps_the_laws() -> None:
    assert broken_laws(registry.lookup("methods", "shift")()) == []


def test_it_takes_part_in_a_comparison(tmp_path: Path) -> None:
    contest = small_contest(methods=("shift(every=2)",), retention=("recall",))
    evidence = compare(contest, tmp_path, HereAndNow(), Unwatched())
    (entrant,) = evidence.entrants
    assert entrant.setting == "shift(every=2)"
    assert entrant.standing == "capped"
    assert entrant.runs[0].test is not None
