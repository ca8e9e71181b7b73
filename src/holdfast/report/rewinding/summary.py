"""The short version of a rewinding, in Markdown."""

from __future__ import annotations

from holdfast.report.rewinding.caveats import caveats
from holdfast.report.rewinding.table import legend, point_table
from holdfast.report.rewinding.verdict import headline, verdict_of
from holdfast.report.rewinding.ways import Rewound
from holdfast.report.short import itemised, markdown


def rewinding_summary(view: Rewound) -> str:
    """What to do, why, the points of the path, and the paths that are not there."""
    found, care = view.found, caveats(view)
    refused = [f"{name}: {reason}" for name, reason in found.refused.items()]
    blocks = [
        f"# {headline(view)}",
        itemised(verdict_of(view)),
        *(["## Read with care", itemised(care)] if care else []),
        "## Points",
        markdown(point_table(view)),
        legend(view),
        *(["## Paths that are not there", itemised(refused)] if refused else []),
        "## Measured on",
        itemised([f"base: {found.base}", f"checkpoint: {found.tuned} ({found.form})"]),
    ]
    return "\n\n".join(blocks) + "\n"
