"""The page of a measurement of basins: one file that needs no server and no network."""

from __future__ import annotations

from typing import Any

from holdfast.report.basin.caveats import caveats
from holdfast.report.basin.certified import COLUMNS, certified
from holdfast.report.basin.compared import AFTER, BEFORE, compared, compared_ledger, wider_line
from holdfast.report.basin.compared_chart import LOOKS, compared_chart
from holdfast.report.basin.curve_chart import curve_chart
from holdfast.report.basin.facts import measured_on, recipe_text, setup
from holdfast.report.basin.inputs import input_chart, input_key, input_ledger
from holdfast.report.basin.ledger import verdict_ledger, width_ledger
from holdfast.report.basin.parts import parts_of
from holdfast.report.basin.seen import RANDOM, Seen
from holdfast.report.basin.strip_chart import INSIDE, OPEN, OUTSIDE, strip_chart
from holdfast.report.basin.verdict import headline, verdict_of
from holdfast.report.offline import embedded, rendered
from holdfast.report.wording import base_name

DASHES = {"solid": "", "dash": "7 4", "dot": "2 3", "dashdot": "7 3 2 3"}
"""Dashes of lines, as SVG has them."""


def basin_page(view: Seen, before: Seen | None = None) -> str:
    """The page as HTML; plotly.js, 5 MB, is part of it.

    Args:
        view: What is shown.
        before: An earlier model, or one that was trained otherwise, measured on the same items.
    """
    return rendered("basin.html.j2", _facts(view, before))


def _facts(view: Seen, before: Seen | None) -> dict[str, Any]:
    """What the template is filled with."""
    pairs = () if before is None else compared(before, view)
    line = None if before is None else wider_line(pairs, base_name(before.measurement.base))
    found = view.measurement
    return {
        "found": found,
        "title": headline(view),
        "verdict": (*verdict_of(view), *(() if line is None else (line,))),
        "caveats": caveats(view),
        "setup": setup(view),
        "widths": width_ledger(view) if view.abilities else None,
        "curves": embedded(curve_chart(view)),
        "key": [
            (view.called(kind), view.look[kind].colour, DASHES[view.look[kind].dash])
            for kind in view.directions
            if kind not in view.parts
        ],
        "bands": any(level.band is not None for curve in found.curves for level in curve.levels),
        "parts": [(part.key, embedded(part.figure)) for part in parts_of(view)],
        "strict": any(curve.direction == RANDOM for curve in found.curves),
        "tuned": bool(view.tuned),
        "strip": embedded(strip_chart(view)),
        "colours": {"inside": INSIDE, "open": OPEN, "outside": OUTSIDE},
        "verdicts": verdict_ledger(view),
        "columns": COLUMNS,
        "certificates": certified(view),
        "inputs": embedded(input_chart(view)),
        "input_key": input_key(view),
        "bearable": input_ledger(view),
        "compared": embedded(None if before is None else compared_chart(before, view, pairs)),
        "compared_key": [(BEFORE, LOOKS[BEFORE].colour), (AFTER, LOOKS[AFTER].colour)],
        "compared_table": compared_ledger(pairs),
        "before": None if before is None else before.measurement.base,
        "measured": measured_on(view),
        "recipe": recipe_text(view),
        "command": found.command,
    }
