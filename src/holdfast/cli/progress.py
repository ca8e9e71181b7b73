"""What a person sees while a comparison runs: a bar for the stage and a line for every job at work."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from holdfast.arena.executor import Outcome


class Watched:
    """Follows a comparison on a terminal; where there is none, it writes a line for every job that ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[doing]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._stage: TaskID | None = None
        self._title, self._ended, self._jobs = "", 0, 0
        self._lines: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, title: str, jobs: int) -> None:
        """Start the bar of a stage."""
        if self._stage is not None:
            self._bars.remove_task(self._stage)
        self._title, self._ended, self._jobs = title, 0, jobs
        self._stage = self._bars.add_task(f"[bold]{title}", total=jobs, doing="")

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def doing(self, name: str, what: str, share: float) -> None:
        """Move the bar of a job."""
        if name not in self._lines:
            self._lines[name] = self._bars.add_task(f"  {name}", total=100, doing=what)
        self._bars.update(self._lines[name], completed=round(100 * share), doing=what)

    def done(self, outcome: Outcome) -> None:
        """Remove the bar of a job and move that of the stage."""
        if outcome.name in self._lines:
            self._bars.remove_task(self._lines.pop(outcome.name))
        self._ended += 1
        if self._stage is not None:
            self._bars.update(self._stage, completed=self._ended)
        if outcome.failure is not None:
            self._console.print(f"[red]failed[/red] {outcome.name}: {outcome.failure}", highlight=False, soft_wrap=True)
        elif not self._console.is_terminal:
            self._console.print(f"{self._title} {self._ended}/{self._jobs}: {outcome.name}", highlight=False)
