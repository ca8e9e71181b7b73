"""Every error that Holdfast raises on purpose, with the exit code the command line gives it.

A message says what was asked, what was found, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import ClassVar

EXIT_DONE = 0
EXIT_FAULT = 1
EXIT_NO = 2
EXIT_USAGE = 3


class HoldfastError(Exception):
    """Something Holdfast can explain."""

    exit_code: ClassVar[int] = EXIT_FAULT


class RecipeError(HoldfastError):
    """A recipe that cannot be followed; carries every fault found, not just the first."""

    exit_code = EXIT_USAGE

    def __init__(self, faults: Sequence[str], source: str = "recipe") -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n".join([f"{source}: {count}", *(f"  - {fault}" for fault in self.faults)]))


class UnknownName(HoldfastError):
    """A name that nothing installed answers to."""

    exit_code = EXIT_USAGE

    def __init__(self, kind: str, asked: str, known: Iterable[str]) -> None:
        self.kind, self.asked, self.known = kind, asked, tuple(sorted(known))
        super().__init__(unknown(kind, asked, self.known))


class BadData(HoldfastError):
    """A data file that cannot be read as asked: says which file, which line, what was expected."""

    exit_code = EXIT_USAGE


class ModelNotFound(HoldfastError):
    """A model that is neither a folder, nor built in, nor to be had from the hub now."""

    exit_code = EXIT_USAGE


class IncompatibleUpdate(HoldfastError):
    """An update that does not fit the model it is put on, or another update."""


class DamagedCheckpoint(HoldfastError):
    """Files that are cut off, missing, or not what their index says."""


class UnsafeFile(HoldfastError):
    """A file that runs code when it is opened, such as a pickle; refused unless the user asks for it."""


class NotMeasurable(HoldfastError):
    """A quantity that is not defined for this subject; the message is the reason that goes into the record."""


class TrainingDiverged(HoldfastError):
    """A loss that is no longer a number."""


class NoSpace(HoldfastError):
    """A disk that is full; nothing half-written is left under a final name."""


def nearest(asked: str, known: Iterable[str]) -> str | None:
    """The known name closest to what was asked, if any is close."""
    matches = difflib.get_close_matches(asked, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


def unknown(kind: str, asked: str, known: Sequence[str]) -> str:
    """The sentence for a name that nothing answers to."""
    close = nearest(asked, known)
    hint = f"did you mean '{close}'?" if close else f"known are: {', '.join(known) or 'none'}"
    return f"unknown {kind} '{asked}': {hint}"
