"""The columns of the table of sequences, each with its definition in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holdfast.metrics.continual.formulas import (
    backward_transfer_gem,
    final_accuracy,
    forgetting_chaudhry,
    forward_transfer_zero_shot,
    intransigence,
    learning_accuracy,
    normalised_score_mean_of_ratios,
)
from holdfast.metrics.continual.metric import Metric
from holdfast.report.sequence.scale import Nature

LEVELS: Final = {"final_accuracy", "anytime_accuracy", "learning_accuracy"}
RATIOS: Final = {"relative_retention", "normalised_score_mean_of_ratios", "normalised_score_ratio_of_means"}
UNMOVED: Final = {"relative_retention", "forgetting_mammoth"}
"""Numbers that take 0 for nothing, which no log-likelihood is."""

ABILITIES: Final = "abilities"
"""What columns of the mean change of abilities are called, with their unit after it."""


@dataclass(frozen=True)
class Shown:
    """A metric as a column.

    Attributes:
        metric: Which.
        title: What stands above it.
        words: Its definition, in few words.
        signed: Whether it is a difference.
    """

    metric: Metric
    title: str
    words: str
    signed: bool


SHOWN: Final = (
    Shown(final_accuracy, "final average", "all tasks after the last stage, mean", False),
    Shown(backward_transfer_gem, "backward transfer", "end minus just trained, earlier tasks (GEM)", True),
    Shown(forgetting_chaudhry, "forgetting", "best before the last stage minus end (Chaudhry)", True),
    Shown(forward_transfer_zero_shot, "forward transfer", "just before training minus base (zero-shot)", True),
    Shown(learning_accuracy, "learning accuracy", "each task just after it was trained, mean", False),
    Shown(intransigence, "intransigence", "outside the sequence minus just trained in it", True),
    Shown(
        normalised_score_mean_of_ratios, "normalised score", "gain at the end over gain outside, mean of shares", False
    ),
)


def nature_of(metric: Metric) -> Nature:
    """What becomes of a metric when all scores are moved and stretched alike."""
    return "level" if metric.name in LEVELS else "ratio" if metric.name in RATIOS else "difference"


def ability_column(unit: str) -> str:
    """Name of the column of abilities of one unit."""
    return f"{ABILITIES}:{unit}"
