"""One measured number, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError, model_validator

from holdfast.core.errors import DamagedCheckpoint


class Record(BaseModel):
    """A quantity of a subject at a site.

    Attributes:
        subject: What was measured, such as ``lora/seed-1/step-200``.
        quantity: Name of the quantity, such as ``forgetting``.
        site: Where in the subject: a task, an item, a layer; empty for the whole.
        value: The number; absent where the quantity is not defined.
        reason: Why there is no number. Exactly one of value and reason is given.
        unit: Unit of the value, such as ``frac`` (0 to 1), ``nats/token``, ``bytes``.
        spread: Lower and upper end of its interval, where one was computed.
        seed: Training seed, where the number belongs to one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    quantity: str
    site: str = ""
    value: FiniteFloat | None = None
    reason: str | None = None
    unit: str = ""
    spread: tuple[FiniteFloat, FiniteFloat] | None = None
    seed: int | None = None

    @model_validator(mode="after")
    def _value_or_reason(self) -> Self:
        if (self.value is None) == (self.reason is None):
            raise ValueError("a record holds a value or the reason why there is none, and never both")
        return self


def to_jsonl(records: Iterable[Record]) -> str:
    """Records as JSON lines; absent fields are left out."""
    return "".join(record.model_dump_json(exclude_none=True) + "\n" for record in records)


def read_jsonl(path: Path) -> Iterator[Record]:
    """Records from a file of JSON lines.

    Raises:
        DamagedCheckpoint: If a line is not a record; says which.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield Record.model_validate_json(line)
            except ValidationError as error:
                raise DamagedCheckpoint(f"{path}, line {number}: not a record ({error.errors()[0]['msg']})") from error
