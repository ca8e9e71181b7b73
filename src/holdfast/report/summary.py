"""The short version of a report, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.report.comparison import Comparison
from holdfast.report.isolation.readings import drifts_of
from holdfast.report.isolation.verdict import isolation_verdict
from holdfast.report.table import legend, markdown_table, ordered
from holdfast.report.verdict import headline, verdict
from holdfast.report.wording import measured, number


def summary(comparison: Comparison) -> str:
    """Title, verdict, table, what to mind, failures, and how to make the report anew."""
    blocks = [
        f"# {headline(comparison)}",
        verdict(comparison),
        markdown_table(comparison).rstrip(),
        legend(comparison),
        *_rewound(comparison),
        *_section("Held still", isolation_verdict(drifts_of(ordered(comparison)))),
        *_section("Read with care", comparison.notes),
        *_section("Without a result", comparison.failures),
        "## Make it anew",
        "In this folder, without a model and without measuring anything again:",
        "```\nholdfast report .\n```",
    ]
    return "\n\n".join(blocks) + "\n"


def _rewound(comparison: Comparison) -> Iterable[str]:
    """The table of entrants at the best points of their runs, where those were looked for."""
    found = [(point.name, point.rewound) for point in ordered(comparison) if point.rewound is not None]
    if not found:
        return
    _, first = found[0]
    lines = [
        "| | step | runs left as they are | gain | of the gain at the end | forgetting | undone |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, each in found:
        cells = [
            f"**{name}**" if each.on_frontier else name,
            number(each.step_frac, 2),
            f"{each.left} of {len(each.t)}",
            measured(each.gain, each.gain_interval),
            measured(each.gain_kept_frac, each.gain_kept_interval),
            measured(each.forgetting, each.forgetting_interval),
            measured(each.undone, each.undone_interval),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    yield "## Rewound to the best points of their runs"
    yield (
        f"Chosen by {first.rule} on validation items, scored on test items. Step: distance from the base as a share of "
        "the whole way. Undone: forgetting at the end minus forgetting there. Bold: on the frontier of best points."
    )
    yield "\n".join(lines)


def _section(title: str, lines: Iterable[str]) -> Iterable[str]:
    items = [f"- {' '.join(line.split())}" for line in lines]
    return (f"## {title}", "\n".join(items)) if items else ()
