"""The widths and where the fine-tunes stand, as short tables for Markdown and a terminal, and the short version."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from holdfast.core.basin import BasinMeasurement
from holdfast.report.basin.caveats import caveats
from holdfast.report.basin.certified import certified
from holdfast.report.basin.compared import compared, compared_ledger, wider_line
from holdfast.report.basin.facts import measured_on
from holdfast.report.basin.inputs import input_ledger
from holdfast.report.basin.phrases import sigma_text, told, width_text
from holdfast.report.basin.seen import RANDOM, WORST, Seen, seen
from holdfast.report.basin.verdict import headline, verdict_of
from holdfast.report.diagnosis.ledger import Ledger
from holdfast.report.short import ShortTable, below, itemised, markdown, opened
from holdfast.report.wording import NONE, base_name, counted, number

MOST_CERTIFICATES = 4
"""On a terminal; those that say something come first."""


@dataclass(frozen=True)
class TerminalBasin:
    """A measurement that shows as many columns as the terminal has room for, and never cuts a number.

    Attributes:
        view: What is shown.
    """

    view: Seen

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What breaks first, what was left, what to mind, the widths, the fine-tunes."""
        yield from opened(headline(self.view), verdict_of(self.view), caveats(self.view))
        widths = width_table(self.view)
        yield below(widths, options.max_width, [""] * len(widths.rows))
        if self.view.tuned:
            table = verdict_table(self.view)
            outside = ["bold" if "outside" in row else "" for row in table.rows]
            yield below(table, options.max_width, outside)
        yield Text(legend(self.view), style="dim")
        sworn = sorted(certified(self.view), key=lambda each: each.vacuous)
        for each in sworn[:MOST_CERTIFICATES]:
            yield Text(f"{each.name}: {each.line}", style="dim")
        if len(sworn) > MOST_CERTIFICATES:
            more = counted(len(sworn) - MOST_CERTIFICATES, "more certificate")
            yield Text(f"{more}, each with its sentence, on the page.", style="dim")


def terminal_basin(measurement: BasinMeasurement) -> TerminalBasin:
    """What was found, for a terminal; what left a basin is bold."""
    return TerminalBasin(seen(measurement))


def width_table(view: Seen) -> ShortTable:
    """A row an ability, the narrowest basin first."""
    columns = ("ability", "width, sigma", "error", "answers", "worst way", "base", "guess")
    return ShortTable(columns, tuple(_width_row(view, ability) for ability in view.abilities))


def verdict_table(view: Seen) -> ShortTable:
    """A row a fine-tune and ability."""
    rows = [
        (
            f"{view.names[tuned]}, {ability}",
            "not known" if each.verdict == "undecided" else each.verdict,
            told(each.drop),
            sigma_text(each.sigma),
            NONE if each.matched is None else told(each.matched),
        )
        for tuned in view.tuned
        for ability in view.abilities
        if (each := view.verdict(ability, tuned)) is not None
    ]
    return ShortTable(("fine-tune, ability", "stands", "lost", "sigma", "random lost"), tuple(rows))


def legend(view: Seen) -> str:
    """What the numbers of the tables mean."""
    tuned = (
        " Lost is what a fine-tune scores less than the base on the same items, with a 95% interval over items; random "
        "is the same for random moves as long."
        if view.tuned
        else ""
    )
    return (
        f"Width: between which standard deviations of noise on {view.measurement.space} the mean score falls by "
        f"{view.measurement.tolerance:g}; error is the chance that it lies elsewhere, at most; worst way is read off "
        f"the curve along the worst direction found.{tuned}"
    )


def basin_summary(view: Seen, before: Seen | None = None) -> str:
    """Verdict, tables, certificates, what to mind, and how to make the report anew, in Markdown."""
    care, pairs = caveats(view), () if before is None else compared(before, view)
    line = None if before is None else wider_line(pairs, base_name(before.measurement.base))
    command = view.measurement.command
    blocks = [
        f"# {headline(view)}",
        itemised([*verdict_of(view), *([] if line is None else [line])]),
        *(["## Read with care", itemised(care)] if care else []),
        "## How wide every basin is",
        markdown(width_table(view)),
        *(["## Where the fine-tunes stand", markdown(verdict_table(view))] if view.tuned else []),
        legend(view),
        *_certificates(view),
        *_section("## Prompts that are disturbed", "ability", input_ledger(view)),
        *_section("## Before and after", "ability", compared_ledger(pairs)),
        "## Measured on",
        itemised(f"{name}: {text}" for name, text in measured_on(view)),
        *(["## Make it anew", f"```\n{command}\n```"] if command else []),
    ]
    return "\n\n".join(blocks) + "\n"


def _width_row(view: Seen, ability: str) -> tuple[str, ...]:
    width, worst = view.width(ability), view.curve(ability, WORST)
    scores = view.base_scores.get(ability)
    random = view.curve(ability, RANDOM)
    nothing = "smooth scores" if random is not None and random.smooth else "not looked for"
    return (
        ability,
        nothing if width is None else width_text(width),
        NONE if width is None or not width.steps else f"{100 * (1 - width.level):.3g}%",
        NONE if width is None else f"{width.scored_items:,}",
        NONE if worst is None or worst.soft_width.value is None else sigma_text(worst.soft_width.value),
        NONE if scores is None else number(scores[0]),
        NONE if scores is None else number(scores[1]),
    )


def _certificates(view: Seen) -> list[str]:
    found = certified(view)
    return (
        ["## What is certain of fine-tunes not yet seen", itemised(f"{e.name}: {e.line}" for e in found)]
        if found
        else []
    )


def _section(heading: str, first: str, table: Ledger | None) -> list[str]:
    """A table of the page in short: numbers with what stands below them."""
    if table is None:
        return []
    groups = [group for group, count in table.groups for _ in range(count)]
    titles = [f"{group}: {column.title}" for group, column in zip(groups, table.columns, strict=True)]
    rows = [(row.name, *(" ".join((cell.main, *cell.below)) for cell in row.cells)) for row in table.rows]
    return [heading, markdown(ShortTable((first, *titles), tuple(rows)))]
