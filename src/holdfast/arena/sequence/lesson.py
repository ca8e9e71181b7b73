"""What one stage of a sequence trains on, and what it may look back at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.arena.jobs import TrainingItems
from holdfast.core.task import Example, Task
from holdfast.methods.turns import in_turns


@dataclass(frozen=True)
class Lesson:
    """The examples of one stage.

    Attributes:
        tasks: What is learned, by name: one task, or all of them where they are mixed.
        past: What was learned before, in its order.
        known: What stands for what the base already knows, by name.
        limit: Most examples of each task; all where not given.
        source_limit: Most examples of what was learned before and of what is known, of all of that together.
        without: Ids of examples that are left out.
    """

    tasks: Mapping[str, Task]
    past: Mapping[str, Task] = field(default_factory=dict)
    known: Mapping[str, Task] = field(default_factory=dict)
    limit: int | None = None
    source_limit: int = 0
    without: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The tasks, joined by a plus where they are mixed."""
        return "+".join(self.tasks)

    def taught(self) -> tuple[list[Example], list[str]]:
        """The examples and their tasks, always the same in the same order."""
        return TrainingItems(self.tasks, self.limit, self.without).taught()

    def source(self) -> list[Example]:
        """Examples of tasks learned before, none that was not trained on, and of what is known; in turns."""
        parts = {
            name: TrainingItems({name: task}, self.limit, self.without).taught()[0] for name, task in self.past.items()
        }
        known = TrainingItems({}, None, self.without, self.known, self.source_limit).source()
        # A task with few examples leaves its share to the others.
        return in_turns({**parts, "known to the base": known}, self.source_limit)
