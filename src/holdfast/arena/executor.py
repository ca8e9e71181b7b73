"""Where jobs run: an executor takes jobs and says how each of them ended."""

from __future__ import annotations

import multiprocessing as mp
import os
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Protocol

from holdfast.core.errors import HoldfastError

if TYPE_CHECKING:
    from holdfast.arena.jobs import Job


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        name: Name of the job.
        failure: Why it did not finish, in words for people; nothing if it did.
        details: Where the fault lies, for those who mend it; nothing for faults that explain themselves.
    """

    name: str
    failure: str | None = None
    details: str | None = None


class Watch(Protocol):
    """Whoever follows a comparison."""

    def stage(self, title: str, jobs: int) -> None:
        """A stage begins, with so many jobs, finished ones included."""
        ...

    def say(self, line: str) -> None:
        """Something has been settled."""
        ...

    def doing(self, name: str, what: str, share: float) -> None:
        """A job is doing something, and this share of it is done."""
        ...

    def done(self, outcome: Outcome) -> None:
        """A job has ended."""
        ...


class Unwatched:
    """Nobody follows."""

    def stage(self, title: str, jobs: int) -> None:
        """Nobody listens."""

    def say(self, line: str) -> None:
        """Nobody listens."""

    def doing(self, name: str, what: str, share: float) -> None:
        """Nobody listens."""

    def done(self, outcome: Outcome) -> None:
        """Nobody listens."""


class Executor(Protocol):
    """Runs jobs, here or elsewhere."""

    def run(self, jobs: Sequence[Job], watch: Watch) -> list[Outcome]:
        """Run all jobs that are not finished; one that fails does not stop the others.

        Args:
            jobs: What is to be done.
            watch: For progress.

        Returns:
            One outcome a job, in the order of the jobs.
        """
        ...


class LocalPool:
    """Runs jobs on this machine, each in a process of its own, some at a time.

    A process of its own means that a job that dies takes nothing with it, and that memory is measured from zero. The
    processes are forked from one that has loaded the libraries already, so that starting one costs little.

    Making a pool starts to load them, beside whatever the caller does next.

    Args:
        slots: How many jobs run at a time; one a processor core, or one a CUDA device, where not given.
        threads: Threads each job may use on the processor.
    """

    def __init__(self, slots: int | None = None, threads: int = 1) -> None:
        self._slots, self._threads = slots, threads
        # Inherited by every job: more threads than cores make small products many times slower.
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        self._context = _context()

    def run(self, jobs: Sequence[Job], watch: Watch) -> list[Outcome]:
        devices = cuda_devices()
        outcomes = {job.name: Outcome(job.name) for job in jobs if job.finished}
        for outcome in outcomes.values():
            watch.done(outcome)
        waiting = [job for job in jobs if not job.finished]
        running: dict[Connection, tuple[str, BaseProcess, int]] = {}
        free = list(range(self._slots or len(devices) or os.cpu_count() or 1))
        try:
            while waiting or running:
                while waiting and free:
                    job, slot = waiting.pop(0), free.pop(0)
                    connection, process = self._start(job, devices[slot % len(devices)] if devices else None)
                    running[connection] = (job.name, process, slot)
                for ready in wait(list(running)):
                    assert isinstance(ready, Connection), "only connections are waited for"
                    name, process, slot = running[ready]
                    ended = _heard(ready, name, process, watch)
                    if ended is not None:
                        del running[ready]
                        free.append(slot)
                        outcomes[name] = ended
                        watch.done(ended)
        finally:
            for _, process, _ in running.values():
                process.kill()
                process.join()
        return [outcomes[job.name] for job in jobs]

    def _start(self, job: Job, device: str | None) -> tuple[Connection, BaseProcess]:
        mine, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(job, theirs, self._threads, device), daemon=False)  # type: ignore[attr-defined]
        process.start()
        theirs.close()
        return mine, process


def cuda_devices() -> list[str]:
    """CUDA devices that may be used, by the names that ``CUDA_VISIBLE_DEVICES`` takes."""
    import torch

    if not torch.cuda.is_available():
        return []
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    return listed.split(",") if listed else [str(i) for i in range(torch.cuda.device_count())]


def _context() -> BaseContext:
    if "forkserver" not in mp.get_all_start_methods():
        return mp.get_context("spawn")
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["holdfast.arena.jobs"])
    forkserver.ensure_running()
    return context


def _heard(connection: Connection, name: str, process: BaseProcess, watch: Watch) -> Outcome | None:
    """Take one message of a job; its outcome if that was the last."""
    try:
        message = connection.recv()
    except EOFError:
        process.join()
        return Outcome(name, f"its process ended without a word (exit code {process.exitcode}); was it out of memory?")
    if isinstance(message, Outcome):
        process.join()
        return message
    watch.doing(name, *message)
    return None


def _work(job: Job, connection: Connection, threads: int, device: str | None) -> None:
    """Run one job in this process and say how it ended."""
    _die_with_parent()
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    import torch

    torch.set_num_threads(threads)
    try:
        job.run(lambda doing, share: connection.send((doing, share)))
        connection.send(Outcome(job.name))
    except HoldfastError as error:
        connection.send(Outcome(job.name, str(error)))
    except Exception as error:  # the whole trace travels to the parent, which reports it and goes on with other jobs
        connection.send(Outcome(job.name, f"{type(error).__name__}: {error}", traceback.format_exc()))


def _die_with_parent() -> None:
    """End this process when the one that asked for the job is gone, so that no orphan goes on writing."""
    parent = mp.parent_process()
    if parent is None:
        return

    def watch_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch_parent, daemon=True).start()
