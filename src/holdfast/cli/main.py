"""The command line: ``holdfast COMMAND``. Exit codes: 0 done, 2 the answer is no, 3 usage, 1 fault."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from holdfast.cli import (
    arena,
    basin,
    check,
    continual,
    diagnose,
    evaluate,
    listing,
    probe,
    relate,
    report,
    rewind,
    sequence,
    train,
    validate,
)
from holdfast.core.errors import EXIT_FAULT, EXIT_USAGE, HoldfastError

app = typer.Typer(
    name="holdfast",
    help="Fine-tune language models and keep what they know.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Some versions of typer bring a click of their own, so that its errors are known by what typer's own derive from.
CLICK_ERROR: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command("arena", context_settings=PASS_ON)(arena.arena)
app.command("train", context_settings=PASS_ON)(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("diagnose")(diagnose.diagnose)
app.command("relate")(relate.relate)
app.command("rewind")(rewind.rewind)
app.command("sequence", context_settings=PASS_ON)(sequence.sequence)
app.command("basin", context_settings=PASS_ON)(basin.basin)
app.command("probe")(probe.probe)
app.command("continual")(continual.continual)
app.command("report")(report.report)
app.command("ls")(listing.ls)
app.command("validate", context_settings=PASS_ON)(validate.validate)
app.command("check")(check.check)


def main() -> None:
    """Run the command line and end the process with the right exit code."""
    err = Console(stderr=True, highlight=False)
    try:
        code = app(standalone_mode=False)
    except HoldfastError as error:
        err.print(f"[red]holdfast:[/red] {error}", soft_wrap=True, markup=True)
        sys.exit(error.exit_code)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except CLICK_ERROR as error:
        err.print(f"[red]holdfast:[/red] {getattr(error, 'format_message', error.__str__)()}", soft_wrap=True)
        sys.exit(EXIT_USAGE)
    except (typer.Abort, KeyboardInterrupt):
        err.print("holdfast: stopped; what was finished is kept, the same command goes on from there")
        sys.exit(EXIT_FAULT)
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
