"""The short version of a report, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.report.comparison import Comparison
from holdfast.report.table import legend, markdown_table
from holdfast.report.verdict import headline, verdict


def summary(comparison: Comparison) -> str:
    """Title, verdict, table, what to mind, failures, and how to make the report anew."""
    blocks = [
        f"# {headline(comparison)}",
        verdict(comparison),
        markdown_table(comparison).rstrip(),
        legend(comparison),
        *_section("Read with care", comparison.notes),
        *_section("Without a result", comparison.failures),
        "## Make it anew",
        "In this folder, without a model and without measuring anything again:",
        "```\nholdfast report .\n```",
    ]
    return "\n\n".join(blocks) + "\n"


def _section(title: str, lines: Iterable[str]) -> Iterable[str]:
    items = [f"- {' '.join(line.split())}" for line in lines]
    return (f"## {title}", "\n".join(items)) if items else ()
