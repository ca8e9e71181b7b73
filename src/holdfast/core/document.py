"""Documents on disk: frozen, without unknown fields, and read with errors that say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from holdfast.core.errors import DamagedCheckpoint


class Document(BaseModel):
    """What is written once and read by others."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Kind = TypeVar("Kind", bound=Document)


def read_document(kind: type[Kind], file: Path, what: str, missing: str) -> Kind:
    """A document from its file.

    Args:
        kind: What is expected.
        file: The JSON file.
        what: What is expected, in words, such as ``a diagnosis``.
        missing: What to think of if the file is not there.

    Raises:
        DamagedCheckpoint: If the file is missing or holds something else.
    """
    try:
        return kind.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DamagedCheckpoint(f"{file} is missing: {missing}") from error
    except UnicodeDecodeError as error:
        raise DamagedCheckpoint(f"{file} does not hold {what}: it is not text in UTF-8") from error
    except ValidationError as error:
        raise DamagedCheckpoint(f"{file} does not hold {what}: {error.errors()[0]['msg']}") from error
