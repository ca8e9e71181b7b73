"""``holdfast ls``: what is installed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from holdfast.core import registry
from holdfast.core.errors import UnknownName


def ls(
    kind: Annotated[str | None, typer.Argument(help="methods, tasks, suites or probes; all where not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List the methods, tasks, suites and probes that are installed, plugins included."""
    if kind is not None and kind not in registry.KINDS:
        raise UnknownName("kind", kind, registry.KINDS)
    kinds = registry.KINDS if kind is None else (kind,)
    found = {kind: registry.listing(kind) for kind in kinds}
    if as_json:
        print(json.dumps({kind: [asdict(item) for item in items] for kind, items in found.items()}, indent=2))
        return
    console = Console()
    for name, items in found.items():
        if not items:
            continue
        table = Table(title=name, title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
        for item in items:
            table.add_row(f"[bold]{item.name}[/bold]", item.summary, f"[dim]{item.package}[/dim]")
        console.print(table)
        console.print()
