"""What can be shown of a site: names, what they mean, and the value that means that nothing happened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.report.diagnosis.findings import ROLES, Findings


@dataclass(frozen=True)
class Quantity:
    """A quantity as it is shown.

    Attributes:
        name: Its name in the records.
        title: What stands above its numbers.
        meaning: What it is, in a sentence.
        still: Its value where nothing has changed, or where a change prefers nothing; its colour is white.
        ratio: Whether twice and half of ``still`` are equally far from it.
    """

    name: str
    title: str
    meaning: str
    still: float = 0.0
    ratio: bool = False


SIZE = "size and shape of the update"
DIRECTIONS = "singular values and directions of the weight"
DRIFT = "drift on prompts"
ACTIVATIONS = "activations"
SIDES = {"right": "input", "left": "output"}

WEIGHTS = (
    (SIZE, "relative_size_frobenius", "relative size", "Norm of the update over the norm of the weight", 0.0),
    (SIZE, "relative_size_spectral", "relative size, spectral", "Largest singular value of the update over that of the "
     "weight", 0.0),
    (SIZE, "stable_rank", "stable rank", "Over how many directions, as strong as the strongest, the update is "
     "spread", 1.0),
    (SIZE, "entropy_rank", "entropy rank", "Over how many directions the update is spread, weak ones included", 1.0),
    (SIZE, "relative_fluctuation_adaptation", "fluctuation of adaptation", "How uneven the adaptation profile is, for "
     "its mean", 0.0),
    (SIZE, "relative_fluctuation_retention", "fluctuation of retention", "How uneven the retention profile is, for its "
     "mean", 0.0),
    (SIZE, "diagonal_frac", "diagonal share", "Share of the update that the retention profile shows", 0.0),
    (SIZE, "energy_seen_frac", "energy seen", "Share of the update that the adaptation profile shows", 0.0),
    (DIRECTIONS, "singular_value_change", "singular value change", "Norm of the change of all singular values over "
     "their norm", 0.0),
    (DIRECTIONS, "singular_value_peak", "singular value change, largest", "Largest move of one singular value over the "
     "largest of the base", 0.0),
    (DIRECTIONS, "alignment_mean", "alignment", "Mean cosine of singular vectors of the same rank, before and "
     "after", 1.0),
    (DIRECTIONS, "matched_alignment_mean", "alignment, matched", "Mean cosine of singular vectors with their best "
     "partners", 1.0),
)  # fmt: skip
ON_PROMPTS = (
    (DRIFT, "drift_relative", "relative drift", "Squared change of what the layer says over the square of what it "
     "said, on {role} prompts", 0.0, False),
    (DRIFT, "drift_alignment", "drift alignment", "How much more the update acts on {role} prompts than on inputs of "
     "no preferred direction", 1.0, True),
    (ACTIVATIONS, "procrustes_residual", "Procrustes residual", "What differs after the best rotation, over the norm "
     "before, on {role} prompts", 0.0, False),
    (ACTIVATIONS, "held_out_procrustes_residual", "Procrustes residual, held out", "The same on prompts that the "
     "rotation was not fitted on", 0.0, False),
    (ACTIVATIONS, "cka_unbiased", "CKA, unbiased", "Similarity of the relations between tokens, on {role} prompts", 1.0,
     False),
    (ACTIVATIONS, "gram_cosine_distance", "Gram distance", "Change of the cosines between all pairs of tokens, over "
     "those before", 0.0, False),
    (ACTIVATIONS, "angular_drift_rad", "angular drift, rad", "Mean angle by which a token has turned, on {role} "
     "prompts", 0.0, False),
    (ACTIVATIONS, "norm_drift", "norm drift", "Mean size of the logarithm of a token's length over its length "
     "before", 0.0, False),
    (ACTIVATIONS, "subspace_distance_k8", "subspace distance, 8 components", "By how much the 8 leading principal "
     "directions of the activations have turned, 0 to 1", 0.0, False),
    (ACTIVATIONS, "shape_distance", "shape distance", "Distance after the best rotation and scale, 0 to 1.41", 0.0,
     False),
)  # fmt: skip
RATIOS = (
    (DRIFT, "drift_ratio_relative", "drift ratio", "Relative drift on general prompts over that on target prompts"),
    (DRIFT, "drift_ratio_update_normalised", "drift ratio, update-normalised", "Update-normalised drift on general "
     "prompts over that on target prompts"),
)  # fmt: skip


def quantities_of(findings: Findings) -> dict[str, list[Quantity]]:
    """Heading -> the quantities of which the diagnosis has a number somewhere, in the order in which they are shown."""
    found: dict[str, list[Quantity]] = {}
    for heading, quantity in known_quantities():
        if findings.values(quantity.name):
            found.setdefault(heading, []).append(quantity)
    return found


def known_quantities() -> Iterator[tuple[str, Quantity]]:
    """Every quantity that has a title, with the heading it stands under."""
    for heading, name, title, meaning, still in WEIGHTS:
        yield heading, Quantity(name, title, meaning, still)
    yield from _turned()
    for heading, name, title, meaning in RATIOS:
        yield heading, Quantity(name, title, meaning, 1.0, ratio=True)
    for heading, name, title, meaning, still, ratio in ON_PROMPTS:
        for role in ROLES:
            yield heading, Quantity(f"{name}/{role}", f"{title}, {role}", meaning.format(role=role), still, ratio)


def _turned() -> Iterator[tuple[str, Quantity]]:
    for side, end in SIDES.items():
        meaning = f"Leading {end} directions after the update that resemble none before it"
        yield DIRECTIONS, Quantity(f"intruders/{side}", f"intruders, {end}s", meaning)
        for count in (8, 16, 32, 64):
            meaning = f"By how much the {count} leading {end} directions have turned as a subspace, 0 to 1"
            title = f"subspace distance, {count} {end}s"
            yield DIRECTIONS, Quantity(f"subspace_distance/{side}/{count}", title, meaning)
