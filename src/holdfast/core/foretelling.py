"""What was measured of every checkpoint of a comparison, and what each of them gained and forgot."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from holdfast.core.errors import DamagedCheckpoint


class Measured(BaseModel):
    """One checkpoint.

    Attributes:
        family: The method it comes from.
        seed: Its training seed.
        step: Its step.
        gain: Score on the target less that of the base.
        forgetting: Mean over what was to be kept, base less checkpoint.
        forgetting_draws: The same on bootstrap draws of the items, the same draws for every checkpoint.
        measures: Geometry of its update: a mean over weights or modules by the name of the quantity, absent where it is
            nowhere defined.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str
    seed: int
    step: int
    gain: FiniteFloat
    forgetting: FiniteFloat
    forgetting_draws: tuple[FiniteFloat, ...] = ()
    measures: dict[str, FiniteFloat]


class Foretelling(BaseModel):
    """All checkpoints of a comparison.

    Attributes:
        base: Name of the base.
        learn: Names of the tasks to be learned.
        keep: Names of the tasks to be kept.
        checkpoints: The checkpoints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    learn: tuple[str, ...]
    keep: tuple[str, ...]
    checkpoints: tuple[Measured, ...]


def read_foretelling(file: Path) -> Foretelling:
    """The checkpoints in a file.

    Raises:
        DamagedCheckpoint: If the file is missing or holds something else.
    """
    try:
        return Foretelling.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DamagedCheckpoint(f"there is no {file}: run holdfast relate on the comparison first") from error
    except ValidationError as error:
        raise DamagedCheckpoint(f"{file} does not hold measured checkpoints: {error.errors()[0]['msg']}") from error
