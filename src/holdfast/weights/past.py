"""What a stage of a sequence of trainings leaves to the stages after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from holdfast.weights.update import Update


@dataclass(frozen=True)
class PastStage:
    """One task that was trained before.

    Attributes:
        task: Its name.
        update: Reads what the stage did to the weights it began with, in the form in which it was learned.
        keepsake: Reads what the method left for later stages, as its attachment's ``keepsake`` gave it; on the
            processor.
    """

    task: str
    update: Callable[[], Update]
    keepsake: Callable[[], Mapping[str, Tensor]]
