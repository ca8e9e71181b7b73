"""What was found out about one update: numbers with their sites, and curves over singular directions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, FiniteFloat

from holdfast.core.document import Document, read_document
from holdfast.core.record import Record

UPDATE = "update"
"""Subject of what was measured of the update itself."""

CONTROL = "random update of the same size"
"""Subject of what was measured of a random change with the same Frobenius norm in every weight."""

MISMATCHED = "tokens of other prompts"
"""Subject of what a comparison of activations finds between tokens that have nothing to do with each other."""


class Curve(Document):
    """One number for each singular direction of a weight, the strongest first.

    Attributes:
        subject: `UPDATE` or `CONTROL`.
        quantity: ``retention`` or ``adaptation``, over the largest singular value of the base weight.
        site: The weight.
        values: The numbers.
    """

    subject: str
    quantity: str
    site: str
    values: tuple[FiniteFloat, ...]


class Site(Document):
    """A place in a model: a weight, or a module that was listened to.

    Attributes:
        name: Its full name; of a weight, that of the module which holds it.
        block: Number of the block it lies in; absent for embeddings, final norms and the head.
        module: Its name inside the block, or the full name outside of blocks.
        shape: Outputs by inputs, of a weight.
    """

    name: str
    block: int | None = None
    module: str
    shape: tuple[int, ...] = ()


class Prompts(Document):
    """Prompts on which drift and activations were measured.

    Attributes:
        role: ``general`` or ``target``.
        source: Where they come from.
        count: How many there are.
        tokens: How many of their tokens were looked at.
    """

    role: str
    source: str
    count: int
    tokens: int


class Diagnosis(Document):
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
        notes: What else must be known of the checkpoint, a sentence each.
        environment: Versions, and how long it took.
    """

    base: str
    tuned: str
    form: str
    moved_params: int
    base_params: int
    sites: tuple[Site, ...]
    prompts: tuple[Prompts, ...] = ()
    records: tuple[Record, ...]
    curves: tuple[Curve, ...] = ()
    notes: tuple[str, ...] = ()
    environment: Mapping[str, str] = Field(default_factory=dict)


def read_diagnosis(file: Path) -> Diagnosis:
    """A diagnosis from its file.

    Raises:
        DamagedCheckpoint: If the file is missing or does not hold one.
    """
    return read_document(Diagnosis, file, "a diagnosis", "was the diagnosis finished?")
