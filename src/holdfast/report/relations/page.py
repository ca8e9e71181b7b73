"""The page on whether geometry foretells forgetting: one file that needs no server and no network."""

from __future__ import annotations

from typing import Any

from holdfast.report.offline import embedded, rendered
from holdfast.report.relations.analysis import Related
from holdfast.report.relations.charts import scatters
from holdfast.report.relations.ledger import ledger_of, meanings
from holdfast.report.relations.table import unmeasured
from holdfast.report.relations.verdict import caveats, headline, scope, verdict
from holdfast.report.wording import base_name, listed


def relations_page(related: Related) -> str:
    """The page as HTML; plotly.js, 5 MB, is part of it."""
    return rendered("relations.html.j2", _facts(related))


def _facts(related: Related) -> dict[str, Any]:
    """What the template is filled with."""
    return {
        "title": headline(related),
        "verdict": verdict(related),
        "caveats": caveats(related),
        "setup": _setup(related),
        "first": related.size,
        "scatters": embedded(scatters(related)),
        "ledger": ledger_of(related),
        "unmeasured": unmeasured(related),
        "meanings": meanings(related),
    }


def _setup(related: Related) -> list[tuple[str, str]]:
    """What was measured, in a few words each."""
    found, first, how = related.found, related.size, related.found.settings
    prompts = listed([f"{count:,} {role}" for role, count in found.prompts.items()]) if found.prompts else "none"
    items = ", then items" if first.outcome_noise_included else ""
    return [
        ("base", base_name(found.base)),
        ("learned", listed(found.learn)),
        ("to be kept", listed(found.keep)),
        ("checkpoints", scope(related)),
        ("scores", "every checkpoint, on validation items" if how.every_checkpoint else "last ones, on test items"),
        ("prompts", f"{prompts}, {how.tokens_per_prompt} tokens of each"),
        ("intervals", f"{first.level:.0%}, {first.redraws:,} redraws of methods, then checkpoints{items}"),
    ]
