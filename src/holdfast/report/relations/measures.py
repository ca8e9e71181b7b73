"""What measures of geometry are called, what they mean, and what was published of them."""

from __future__ import annotations

from typing import Final

from holdfast.core.foretelling import SIZE
from holdfast.report.diagnosis.quantities import Quantity, known_quantities

PUBLISHED: Final = {
    "procrustes_residual/general": 0.711,
    "gram_cosine_distance/general": 0.485,
    "cka_biased/general": -0.761,
    "drift_relative/general": 0.347,
}
"""Pearson's r with forgetting that PEFT-Arena prints (arXiv 2605.28819), of an unknown number of checkpoints."""

OWN: Final = (
    Quantity(SIZE, "size of the update", "Norm of the update over the norm of the base"),
    Quantity(
        "cka_biased/general",
        "CKA, biased, general",
        "Similarity of the relations between tokens, on general prompts, by the estimate that PEFT-Arena prints",
    ),
    Quantity(
        "drift_update_normalised/general",
        "drift, update-normalised, general",
        "Squared change of what the layer says, over the squares of the update and of what it reads on general prompts",
    ),
)
"""Measures that a diagnosis does not show, or shows under another title."""

KNOWN: Final = {each.name: each for each in (*(quantity for _, quantity in known_quantities()), *OWN)}


def measure_of(name: str) -> Quantity:
    """A measure with its title and meaning; one that is not known here is called by its name."""
    return KNOWN.get(name, Quantity(name, name, ""))


def title_of(name: str) -> str:
    """What a measure is called."""
    return measure_of(name).title
