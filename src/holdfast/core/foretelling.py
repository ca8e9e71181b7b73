"""What was measured of every checkpoint of a comparison, and what each of them gained and forgot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import FiniteFloat

from holdfast.core.document import Document, read_document

SIZE = "relative_size_frobenius"
"""The measure that others are held against: how large the update is beside the base."""


class Settings(Document):
    """How checkpoints are measured.

    Attributes:
        every_checkpoint: All checkpoints with their validation scores, or the last ones with their test scores.
        max_prompts: Most prompts of each kind.
        tokens_per_prompt: Tokens of each prompt that are looked at.
    """

    every_checkpoint: bool = False
    max_prompts: int = 120
    tokens_per_prompt: int = 8


class Measured(Document):
    """One checkpoint.

    Attributes:
        family: The method it comes from.
        seed: Its training seed.
        step: Its step.
        gain: Score on the target less that of the base.
        forgetting: Mean over what was to be kept, base less checkpoint.
        forgetting_draws: The same on bootstrap draws of the items, the same draws for every checkpoint.
        measures: Geometry of its update: a mean over weights or modules by the name of the quantity, absent where it is
            nowhere defined; `SIZE` is always there.
    """

    family: str
    seed: int
    step: int
    gain: FiniteFloat
    forgetting: FiniteFloat
    forgetting_draws: tuple[FiniteFloat, ...] = ()
    measures: dict[str, FiniteFloat]


class LeftOut(Document):
    """A run or checkpoint that has no place among the measured ones.

    Attributes:
        family: The method it comes from.
        seed: Its training seed.
        step: Its step; absent if the whole run is left out.
        reason: Why.
    """

    family: str
    seed: int
    step: int | None = None
    reason: str


class Foretelling(Document):
    """All checkpoints of a comparison.

    Attributes:
        base: Name of the base.
        learn: Names of the tasks to be learned.
        keep: Names of the tasks to be kept.
        settings: How they were measured.
        prompts: How many prompts were read, by role.
        checkpoints: The checkpoints.
        left_out: What was not measured, and why.
    """

    base: str
    learn: tuple[str, ...]
    keep: tuple[str, ...]
    settings: Settings = Settings()
    prompts: Mapping[str, int]
    checkpoints: tuple[Measured, ...]
    left_out: tuple[LeftOut, ...] = ()


def read_foretelling(file: Path) -> Foretelling:
    """The checkpoints in a file.

    Raises:
        DamagedCheckpoint: If the file is missing or holds something else.
    """
    return read_document(Foretelling, file, "measured checkpoints", "run holdfast relate on the comparison first")
