"""``holdfast check``: run the laws on a method, one's own or anybody's."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from holdfast.core.errors import EXIT_NO


def check(
    method: Annotated[str, typer.Argument(help="Name of an installed method, with options: `oft(block_size=16)`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print broken laws as JSON.")] = False,
) -> None:
    """Check that a method keeps its promises: starts at the base, detaches bit for bit, saves what it trained, ...

    Exits with 2 if it breaks one.
    """
    from holdfast.methods.on_top import method_named
    from holdfast.testing.laws import LAWS, broken_laws

    broken = broken_laws(method_named(method))
    if as_json:
        print(json.dumps([asdict(law) for law in broken], indent=2))
    else:
        how = {law.law: law.how for law in broken}
        console = Console(highlight=False)
        for law in [*LAWS, *(law for law in how if law not in LAWS)]:
            console.print(f"[red]broken[/red]  {law}: {how[law]}" if law in how else f"[green]kept[/green]    {law}")
    if broken:
        raise typer.Exit(EXIT_NO)
