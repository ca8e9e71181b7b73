"""Jobs run in processes of their own, and whatever happens to one happens to no other."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from contests import Endless, Note, Stumble
from processes import begun

from holdfast.arena.executor import LocalPool, Outcome, Unwatched


@pytest.fixture(scope="module")
def pool() -> LocalPool:
    return LocalPool(slots=2)


class Following(Unwatched):
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, float]] = []
        self.ended: list[str] = []

    def doing(self, name: str, what: str, share: float) -> None:
        self.seen.append((name, what, share))

    def done(self, outcome: Outcome) -> None:
        self.ended.append(outcome.name)


def test_outcomes_come_in_the_order_of_the_jobs_and_progress_is_told(pool: LocalPool, tmp_path: Path) -> None:
    watch = Following()
    jobs = [Note("slow", tmp_path / "slow", wait_s=0.5), Note("quick", tmp_path / "quick")]
    outcomes = pool.run(jobs, watch)
    assert [outcome.name for outcome in outcomes] == ["slow", "quick"]
    assert all(outcome.failure is None for outcome in outcomes)
    assert watch.ended == ["quick", "slow"]
    assert ("slow", "waiting", 0.5) in watch.seen


def test_each_job_has_a_process_of_its_own(pool: LocalPool, tmp_path: Path) -> None:
    pool.run([Note(name, tmp_path / name) for name in "ab"], Unwatched())
    pids = {(tmp_path / name).read_text() for name in "ab"}
    assert len(pids) == 2
    assert str(os.getpid()) not in pids


def test_finished_jobs_are_not_run(pool: LocalPool, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    pool.run([Note("old", tmp_path / "old")], Unwatched())
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.parametrize(
    ("how", "failure"),
    [("explains", "too steep"), ("raises", "ValueError: stumbled"), ("dies", r"ended without a word \(exit code 7\)")],
)
def test_a_job_that_fails_is_told_and_stops_no_other(pool: LocalPool, tmp_path: Path, how: str, failure: str) -> None:
    bad, good = pool.run([Stumble("bad", how), Note("good", tmp_path / "good", wait_s=0.2)], Unwatched())
    assert bad.failure is not None
    assert re.search(failure, bad.failure)
    assert good.failure is None


SCRIPT = """
import sys
from pathlib import Path
from contests import Endless
from holdfast.arena.executor import LocalPool, Unwatched
if __name__ == "__main__":
    LocalPool(1).run([Endless("endless", Path(sys.argv[1]))], Unwatched())
"""


def test_jobs_die_with_the_process_that_asked_for_them(tmp_path: Path) -> None:
    script, note = tmp_path / "script.py", tmp_path / "pid"
    script.write_text(SCRIPT)
    parent = begun(script, note)
    until(lambda: note.is_file() and bool(note.read_text()), 120)
    child = int(note.read_text())
    parent.kill()
    parent.join()
    until(lambda: not alive(child), 10)


def alive(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def until(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_endless_jobs_are_stopped_when_the_caller_gives_up(pool: LocalPool, tmp_path: Path) -> None:
    class GivesUp(Unwatched):
        def done(self, outcome: Outcome) -> None:
            raise KeyboardInterrupt

    jobs = [Endless("endless", tmp_path / "pid"), Note("quick", tmp_path / "quick", wait_s=1.0)]
    with pytest.raises(KeyboardInterrupt):
        pool.run(jobs, GivesUp())
    assert not alive(int((tmp_path / "pid").read_text()))
