"""Three tasks that are learned in stages by a plain loop, in the order that a staged attachment wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from loops import Course, batch

from holdfast.methods.staging.attachment import StagedAttachment
from holdfast.weights.material import Batch, Material

WORDS = {"one": (3, 40), "other": (40, 80), "third": (80, 128)}
"""The tokens that each task speaks in."""

ROWS = [task for task in WORDS for _ in range(8)]
"""The task of every training row; a row is a batch of its own number."""


def stream(task: str, count: int = 3) -> list[Batch]:
    """What a task is probed on."""
    low, high = WORDS[task]
    return [batch(500 + low + turn, low=low, high=high) for turn in range(count)]


def tasks(*names: str) -> Material:
    return Material({name: stream(name) for name in names})


@dataclass
class Staged(Course):
    """A training in the order of a staged attachment, one row a step."""

    material: Material = field(default_factory=lambda: tasks(*WORDS))
    rows: Sequence[str] = tuple(ROWS)
    order_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        assert isinstance(self.attachment, StagedAttachment)
        order = self.attachment.order(self.rows, self.steps, self.order_seed)
        self.order = [self.rows[row] for row in order]
        self.batches = lambda seed: _row(order[seed // 100], self.rows)


def _row(at: int, rows: Sequence[str]) -> Batch:
    low, high = WORDS[rows[at]]
    return batch(at, low=low, high=high)
