"""The page of a rewinding: one file that needs no server and no network."""

from __future__ import annotations

from typing import Any

from holdfast.report.offline import embedded, rendered
from holdfast.report.palette import looks_of
from holdfast.report.rewinding.caveats import caveats
from holdfast.report.rewinding.charts import plane_chart, step_chart
from holdfast.report.rewinding.ledger import match_ledger, point_ledger, row_name
from holdfast.report.rewinding.phrases import checkpoint, place
from holdfast.report.rewinding.verdict import headline, verdict_of
from holdfast.report.rewinding.ways import Rewound
from holdfast.report.wording import base_name, counted, listed

MEANINGS = {
    "own": "the trained tensors of the method, moved back to where they began; the result stays in its own format",
    "additive": "the change of the weights, scaled where the method's own tensors allow that",
    "dense": "the straight line between base and checkpoint in the weights",
    "cayley_sqrt": "rotations whose generator is scaled by the square root of t",
    "geodesic": "rotations whose angles are scaled by t",
    "safe_scale": "strong layers weakened first, down to the mean of the first five; below that all are scaled alike",
    "min_scale": "strong layers weakened first, down to the weakest; below that all are scaled alike",
    "drift": "modules that drift most on general prompts weakened first, until all drift alike",
    "training trajectory": "the checkpoints that training saved: what stopping early would have given",
}


def rewinding_page(view: Rewound) -> str:
    """The page as HTML; plotly.js, 5 MB, is part of it."""
    return rendered("rewinding.html.j2", _facts(view))


def _facts(view: Rewound) -> dict[str, Any]:
    """What the template is filled with."""
    look = looks_of(way.name for way in view.ways)
    return {
        "found": view.found,
        "title": headline(view),
        "verdict": verdict_of(view),
        "caveats": caveats(view),
        "setup": _setup(view),
        "measured": [
            ("base", f"{view.found.base} ({view.found.base_identity})"),
            ("checkpoint", view.found.tuned),
            *view.found.environment.items(),
        ],
        "ways": [(way.name, look[way.name].colour, MEANINGS.get(way.name, "")) for way in view.ways],
        "inside": view.inside,
        "chosen": place(view.chosen.t),
        "chosen_step": view.chosen.step_frac,
        "chosen_kl": view.chosen.kl_nats,
        "chosen_row": row_name(view.chosen, view.ways[0].name),
        "final_row": row_name(view.final, view.ways[0].name),
        "plane": embedded(plane_chart(view)),
        "steps": embedded(step_chart(view)),
        "points": point_ledger(view),
        "by_step": match_ledger(view, view.by_step),
        "by_kl": match_ledger(view, view.by_kl),
        "headline_tasks": view.held.headline,
        "beyond": any(each.beyond for way in view.ways for each in way.places),
        "kl": any(each.kl_nats is not None for way in view.ways for each in way.places),
    }


def _setup(view: Rewound) -> list[tuple[str, str]]:
    """What was searched, in a few words each."""
    found = view.found
    split = found.walk.points[0].scores.split
    rivals = sum(way.evaluations for way in view.ways[1:])
    return [
        ("base", base_name(found.base)),
        ("checkpoint", f"{checkpoint(found)}, {found.form}"),
        ("learned", listed(found.learn)),
        ("to be kept", listed(found.keep) if found.keep else "nothing"),
        ("path", found.walk.path),
        ("rule", found.rule),
        ("chosen on", f"{counted(view.held.count(found.learn), f'{split} item')} of the target"),
        ("evaluations", f"{found.walk.evaluations}{f', and {rivals} on other paths' if rivals else ''}"),
    ]
