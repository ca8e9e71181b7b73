"""The page of a comparison: one file that needs no server and no network."""

from __future__ import annotations

from typing import Any

import yaml

from holdfast.report.charts import course_chart, tradeoff_chart
from holdfast.report.comparison import Comparison
from holdfast.report.heat import heat_of
from holdfast.report.isolation.section import isolation_section
from holdfast.report.ledger import ledger_of
from holdfast.report.offline import embedded, rendered
from holdfast.report.palette import looks
from holdfast.report.verdict import headline, verdict
from holdfast.report.wording import base_name, counted, listed, scales


def page(comparison: Comparison) -> str:
    """The page as HTML; plotly.js, 5 MB, is part of it."""
    return rendered("page.html.j2", _facts(comparison))


def _facts(comparison: Comparison) -> dict[str, Any]:
    """What the template is filled with."""
    look = looks(comparison)
    return {
        "comparison": comparison,
        "title": headline(comparison),
        "base_name": base_name(comparison.base),
        "verdict": verdict(comparison),
        "setup": _setup(comparison),
        "looks": look,
        "tradeoff": embedded(tradeoff_chart(comparison)),
        "course": embedded(course_chart(comparison)),
        "rewound": any(point.rewound for point in comparison.points),
        "failed": [point for point in comparison.points if point.failure is not None],
        "heat": heat_of(comparison),
        "ledger": ledger_of(comparison),
        "isolation": isolation_section(comparison),
        "scales": scales(comparison),
        "over_seeds": any(point.gain_seed_interval for point in comparison.points),
        "recipe": yaml.safe_dump(comparison.recipe, sort_keys=False, allow_unicode=True, default_flow_style=None),
    }


def _setup(comparison: Comparison) -> list[tuple[str, str]]:
    """What was compared, in a few words each."""
    recipe = comparison.recipe
    seeds = recipe.get("seeds")
    known = [
        ("base", f"{base_name(comparison.base)}, {comparison.base_params:,} parameters"),
        ("to be learned", listed(comparison.learn)),
        ("to be kept", listed(comparison.keep)),
        ("budget", f"{comparison.budget_params:,} trainable parameters"),
        ("seeds", listed([str(seed) for seed in seeds]) if isinstance(seeds, list) and seeds else ""),
        ("training", _training(recipe)),
        ("intervals", f"{comparison.level:.0%}, {comparison.resamples:,} resamples"),
    ]
    return [(name, text) for name, text in known if text]


def _training(recipe: dict[str, object]) -> str:
    steps, rows = recipe.get("max_steps"), recipe.get("per_device_train_batch_size")
    if not isinstance(steps, int) or not isinstance(rows, int):
        return ""
    return f"{counted(steps, 'step')} of {counted(rows, 'row')}"
