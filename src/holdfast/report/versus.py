"""Every entrant against LoRA, item by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from holdfast.metrics.bootstrap import Resamples, paired_interval
from holdfast.metrics.significance import bootstrap_p, holm
from holdfast.metrics.tradeoff import FORGETTING, GAIN
from holdfast.report.comparison import Versus

LORA: Final = "lora"
"""Name of the entrant that the others are held against."""


def versus_lora(resamples: Resamples, labels: Sequence[str]) -> Mapping[str, Versus]:
    """Every entrant minus LoRA; nothing where LoRA does not take part.

    Args:
        resamples: From ``bootstrap.resample``.
        labels: The entrants that have scores.

    Returns:
        Entrant -> its differences from LoRA, the p-values adjusted for being many.
    """
    others = [label for label in labels if label != LORA]
    if LORA not in labels or not others:
        return {}
    adjusted = {
        quantity: holm([bootstrap_p(resamples.draws(o, quantity) - resamples.draws(LORA, quantity)) for o in others])
        for quantity in (GAIN, FORGETTING)
    }
    found = {}
    for i, label in enumerate(others):
        gain, forgetting = (paired_interval(resamples, label, LORA, quantity) for quantity in (GAIN, FORGETTING))
        found[label] = Versus(
            gain=gain.value,
            gain_interval=(gain.spread.low, gain.spread.high),
            gain_p=float(adjusted[GAIN][i]),
            forgetting=forgetting.value,
            forgetting_interval=(forgetting.spread.low, forgetting.spread.high),
            forgetting_p=float(adjusted[FORGETTING][i]),
        )
    return found
