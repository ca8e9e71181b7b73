"""The page of sequences: one file that needs no server and no network."""

from __future__ import annotations

from typing import Any

import yaml

from holdfast.report.offline import embedded, rendered
from holdfast.report.palette import BETTER, WORSE, looks_of
from holdfast.report.sequence.analysis import Analysed
from holdfast.report.sequence.caveats import caveats
from holdfast.report.sequence.charts import curves_layout, plane_chart
from holdfast.report.sequence.courses import base_course, course_data, units_of
from holdfast.report.sequence.failures import failures
from holdfast.report.sequence.ledger import cost_ledger, difference_ledgers, number_ledger
from holdfast.report.sequence.owned import owners_section
from holdfast.report.sequence.phrases import order_text
from holdfast.report.sequence.spreads import spread_ledger
from holdfast.report.sequence.standing import standing_of
from holdfast.report.sequence.verdict import headline, verdict
from holdfast.report.wording import base_name, counted, listed


def sequence_page(found: Analysed) -> str:
    """The page as HTML; plotly.js, 5 MB, is part of it."""
    return rendered("sequence.html.j2", _facts(found))


def _facts(found: Analysed) -> dict[str, Any]:
    """What the template is filled with."""
    look = looks_of(each.name for each in found.sequences)
    names = [each.name for each in found.sequences]
    frame, heads = curves_layout(found)
    return {
        "title": headline(found),
        "verdict": verdict(found),
        "caveats": caveats(found),
        "setup": _setup(found),
        "found": found,
        "names": names,
        "pair": _pair(found, names),
        "orders": [order_text(order) for order in found.evidence.orders],
        "looks": look,
        "plane": embedded(plane_chart(found)),
        "numbers": number_ledger(found),
        "costs": cost_ledger(found),
        "differences": difference_ledgers(found),
        "spreads": spread_ledger(found),
        "owners": owners_section(found),
        "ceilings": ceilings(found),
        "failures": failures(found.evidence),
        "courses": embedded(
            {
                "orders": found.evidence.orders,
                "keep": found.evidence.keep,
                "units": units_of(found),
                "base": base_course(found),
                "entrants": course_data(found),
                "looks": {name: {"colour": look[name].colour, "dash": look[name].dash} for name in names},
                "better": BETTER,
                "worse": WORSE,
                "layout": frame,
                "heads": heads,
            }
        ),
        "recipe": yaml.safe_dump(found.evidence.recipe, sort_keys=False, allow_unicode=True, default_flow_style=None),
    }


def ceilings(found: Analysed) -> tuple[str, ...]:
    """Which row says what the tasks reach outside the sequence, and for whom."""
    users: dict[str, list[str]] = {}
    for each in found.sequences:
        if each.row.ceiling is not None:
            users.setdefault(each.row.ceiling, []).append(each.name)
    return tuple(f"{name} for {listed(held)}" for name, held in users.items())


def _pair(found: Analysed, names: list[str]) -> tuple[str, ...]:
    """The two entrants that are shown first: the reference, and the best of the others."""
    standing = standing_of(found)
    ranked = [found.reference, standing.best.name if standing is not None else None, *names]
    return tuple(dict.fromkeys(name for name in ranked if name is not None))[:2]


def _setup(found: Analysed) -> list[tuple[str, str]]:
    """What was done, in a few words each."""
    evidence, recipe = found.evidence, found.evidence.recipe
    steps = recipe.get("max_steps")
    known = [
        ("base", f"{base_name(evidence.base)}, {evidence.base_params:,} parameters"),
        ("tasks", listed(evidence.tasks)),
        ("not trained", listed(evidence.keep) if evidence.keep else ""),
        ("orders and seeds", f"{counted(found.orders, 'order')}, {counted(found.seeds, 'seed')}"),
        ("a stage", counted(steps, "step") if isinstance(steps, int) else ""),
        ("intervals", f"{found.level:.0%}, {found.resamples:,} resamples"),
    ]
    return [(name, text) for name, text in known if text]
