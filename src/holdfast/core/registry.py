"""What is installed: methods, tasks, suites and probes, found by their entry points.

Built-ins and plugins come through the same door. Listing reads metadata and source text only; nothing is imported
until it is looked up, so that a listing costs no torch.
"""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from holdfast.core.errors import UnknownName

Kind = Literal["methods", "tasks", "suites", "probes"]
KINDS: tuple[Kind, ...] = ("methods", "tasks", "suites", "probes")


@dataclass(frozen=True)
class Installed:
    """One installed object, not yet imported.

    Attributes:
        name: The name users give.
        summary: First line of its module's docstring.
        package: Distribution that brings it, with its version.
    """

    name: str
    summary: str
    package: str


@cache
def _entries(kind: Kind) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=f"holdfast.{kind}"), key=lambda e: e.name)}


def names(kind: Kind) -> tuple[str, ...]:
    """Installed names of one kind, sorted."""
    return tuple(_entries(kind))


def lookup(kind: Kind, name: str) -> Any:
    """Import and return what is installed under a name.

    Raises:
        UnknownName: If nothing is; the message names the nearest that is.
    """
    entries = _entries(kind)
    if name not in entries:
        raise UnknownName(kind.removesuffix("s"), name, entries)
    return entries[name].load()


def listing(kind: Kind) -> tuple[Installed, ...]:
    """Everything installed of one kind, with a one-line summary read from source without importing it."""
    return tuple(Installed(name, _summary(entry.module), _package(entry)) for name, entry in _entries(kind).items())


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown"


def _summary(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return ""
    docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
    return docstring.splitlines()[0] if docstring else ""
