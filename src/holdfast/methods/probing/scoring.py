"""From what a probe shows to the scores by which units are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.algebra.ranking import min_max, rank_shares
from holdfast.algebra.specificity import mean_cosine
from holdfast.core.errors import NotMeasurable

Strategy = Literal["l2_fisher", "cosine", "product"]
"""``l2_fisher``: what moves far and matters; ``cosine``: what moves as in no other task; ``product``: ranks of both."""

Combine = Literal["minmax", "rank"]
"""How lengths and Fisher information are made comparable before they are added."""

Scores = dict[str, Tensor]


@dataclass(frozen=True)
class Scored:
    """Scores and what they were made of.

    Attributes:
        scores: The higher, the sooner a unit is chosen; tensors without a score are not in it.
        signals: What was measured, by name of the signal.
        scaled: The same as it was joined.
    """

    scores: Scores
    signals: dict[str, Scores]
    scaled: dict[str, Scores]


def importance(lengths: Scores, information: Scores, alpha: float, combine: Combine, names: tuple[str, str]) -> Scored:
    """``alpha * length + (1 - alpha) * Fisher``, each scaled over all eligible units.

    Min-max is set by the single largest unit of each; ranks let both vote alike.

    Args:
        lengths: How far units were moved.
        information: Their Fisher information.
        alpha: Weight of the lengths, in [0, 1].
        combine: How they are scaled.
        names: What the two signals are called.
    """
    scale = min_max if combine == "minmax" else rank_shares
    first, second = scale(lengths), scale(information)
    scores = {name: alpha * first[name] + (1 - alpha) * second[name] for name in lengths}
    return Scored(
        scores, dict(zip(names, (lengths, information), strict=True)), dict(zip(names, (first, second), strict=True))
    )


def dissimilarity(own: Mapping[str, Tensor], past: Mapping[str, Mapping[str, Tensor]]) -> Scored:
    """The mean cosine of each tensor's change with those of earlier tasks, turned round: the lowest goes first.

    Args:
        own: The change of every tensor, or a sketch of it.
        past: For every earlier task the same.

    Raises:
        NotMeasurable: If no tensor has two changes to be compared.
    """
    means: Scores = {}
    for name, change in own.items():
        others = {task: kept[name] for task, kept in past.items() if name in kept}
        try:
            means[name] = torch.tensor(mean_cosine(change, others), dtype=torch.float64)
        except NotMeasurable:
            continue  # without a direction a tensor is not specific to anything, and is never chosen
    if not means:
        raise NotMeasurable(
            "no tensor was moved both by this task and by an earlier one: specificity is not defined; use l2_fisher"
        )
    return Scored({name: -mean for name, mean in means.items()}, {"mean_cosine": means}, {})


def product(important: Scored, specific: Scored) -> Scored:
    """The rank of importance times the rank of specificity, each as a share; of tensors that have both."""
    both = specific.scores
    first = rank_shares({name: important.scores[name] for name in both})
    second = rank_shares(both)
    return Scored(
        {name: first[name] * second[name] for name in both},
        important.signals | specific.signals,
        important.scaled | {"importance_rank": first, "specificity_rank": second},
    )
