"""What was found out about one update: numbers with their sites, and curves over singular directions."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from holdfast.core.errors import DamagedCheckpoint
from holdfast.core.record import Record

UPDATE = "update"
"""Subject of what was measured of the update itself."""

CONTROL = "random update of the same size"
"""Subject of what was measured of a random change with the same Frobenius norm in every weight."""

MISMATCHED = "tokens of other prompts"
"""Subject of what a comparison of activations finds between tokens that have nothing to do with each other."""


class Curve(BaseModel):
    """One number for each singular direction of a weight, the strongest first.

    Attributes:
        subject: `UPDATE` or `CONTROL`.
        quantity: ``retention`` or ``adaptation``, over the largest singular value of the base weight.
        site: The weight.
        values: The numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    quantity: str
    site: str
    values: tuple[FiniteFloat, ...]


class Site(BaseModel):
    """A place in a model: a weight, or a module that was listened to.

    Attributes:
        name: Its full name; of a weight, that of the module which holds it.
        block: Number of the block it lies in; absent for embeddings, final norms and the head.
        module: Its name inside the block, or the full name outside of blocks.
        shape: Outputs by inputs, of a weight.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    block: int | None = None
    module: str
    shape: tuple[int, ...] = ()


class Prompts(BaseModel):
    """Prompts on which drift and activations were measured.

    Attributes:
        role: ``general`` or ``target``.
        source: Where they come from.
        count: How many there are.
        tokens: How many of their tokens were looked at.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str
    source: str
    count: int
    tokens: int


class Diagnosis(BaseModel):
    """All that was measured of one update of one base.

    Attributes:
        base: The base, as it was named.
        tuned: The adapter or checkpoint, as it was named.
        form: How the update is held, such as ``lora adapter`` or ``full checkpoint``.
        moved_params: Parameters in the weights that the update lists.
        base_params: Parameters of the base.
        sites: Every place for which there are records, in the order of the model.
        prompts: What activations were measured on; empty if only weights were looked at.
        records: The numbers, and the reasons where there is none. The site of a record is that of a place, its subject
            `UPDATE`, `CONTROL` or `MISMATCHED`. Quantities on prompts end in their role: ``drift_relative/general``.
        curves: Profiles over singular directions.
        environment: Versions, and how long it took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    tuned: str
    form: str
    moved_params: int
    base_params: int
    sites: tuple[Site, ...]
    prompts: tuple[Prompts, ...] = ()
    records: tuple[Record, ...]
    curves: tuple[Curve, ...] = ()
    environment: dict[str, str] = {}


def read_diagnosis(file: Path) -> Diagnosis:
    """A diagnosis from its file.

    Raises:
        DamagedCheckpoint: If the file is missing or does not hold one.
    """
    try:
        return Diagnosis.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DamagedCheckpoint(f"there is no {file}: was the diagnosis finished?") from error
    except UnicodeDecodeError as error:
        raise DamagedCheckpoint(f"{file} does not hold a diagnosis: it is not text in UTF-8") from error
    except ValidationError as error:
        raise DamagedCheckpoint(f"{file} does not hold a diagnosis: {error.errors()[0]['msg']}") from error
