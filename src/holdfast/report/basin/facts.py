"""What stands around the numbers: what was asked, what was moved, and how to make it anew."""

from __future__ import annotations

import yaml

from holdfast.report.basin.phrases import share_text, sigma_text
from holdfast.report.basin.seen import RANDOM, Seen, directions_of
from holdfast.report.wording import NONE, base_name, counted, listed

DTYPE = "dtype"


def setup(view: Seen) -> list[tuple[str, str]]:
    """What was done, in a few words each."""
    found = view.measurement
    items = [scores[2] for scores in view.base_scores.values()]
    random = [curve for curve in found.curves if curve.direction == RANDOM]
    count = min((directions_of(curve.levels) for curve in random), default=0)
    sigmas = {level.sigma for curve in random for level in curve.levels}
    known = [
        ("base", base_name(found.base)),
        ("noise on", found.space),
        ("coordinates d", f"{found.coordinates:,}"),
        ("abilities", listed(view.abilities) if view.abilities else ""),
        ("items an ability", _between(items)),
        ("random directions", f"{count}, at {counted(len(sigmas), 'distance')}" if count else ""),
        ("may be lost", f"{found.tolerance:g} of the score"),
        ("fine-tunes", listed([view.names[each] for each in view.tuned], most=5) if view.tuned else "none"),
    ]
    return [(name, text) for name, text in known if text]


def measured_on(view: Seen) -> list[tuple[str, str]]:
    """What was moved and how well it was given back."""
    found = view.measurement
    lost = [f"{share_text(frac)} at sigma {sigma_text(sigma)}" for sigma, frac in found.lost_frac]
    return [
        ("base", f"{found.base} ({found.base_identity})"),
        ("noise on", found.space),
        ("coordinates d", f"{found.coordinates:,}; root {sigma_text(view.length(1.0))}"),
        ("type of the weights", found.environment.get(DTYPE, "not recorded")),
        ("noise lost to rounding", listed(lost) if lost else "not looked at"),
        ("hash of the weights before", found.hash_before),
        ("hash of the weights after", f"{found.hash_after}, the same"),
        *((f"self-noise, {ability}", _self_noise(view, ability)) for ability in view.abilities if view.curves(ability)),
    ]


def recipe_text(view: Seen) -> str | None:
    """Every option, as YAML; nothing where none was recorded."""
    recipe = dict(view.measurement.recipe)
    if not recipe:
        return None
    return yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True, default_flow_style=None)


def _self_noise(view: Seen, ability: str) -> str:
    known = [curve.self_noise for curve in view.curves(ability) if curve.self_noise is not None]
    return f"{share_text(max(known))} of the items answered otherwise" if known else "asked once"


def _between(counts: list[int]) -> str:
    if not counts:
        return NONE
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
