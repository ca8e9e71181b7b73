"""Which units are trained: from the top of the ranking until the budget is used up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.algebra.ranking import Units, joined, parted, share_of
from holdfast.core.errors import RecipeError

Budget = Literal["tensors", "params"]
"""What the ratio is a share of: of the eligible units, however large they are, or of their scalars."""


@dataclass(frozen=True)
class Extent:
    """How large one eligible tensor is.

    Attributes:
        units: How many units it has.
        entries: How many scalars each of them has.
    """

    units: int
    entries: int


def chosen(
    scores: Units,
    extents: Mapping[str, Extent],
    ratio: float,
    budget: Budget,
    taken: Units | None = None,
    *,
    who: str,
) -> dict[str, Tensor]:
    """Flags of the units that are trained, those with the highest scores first, earlier ones first where equal.

    The budget is a share of everything eligible, units that are taken included. By ``params`` the ranking is gone
    down, and each unit that still fits is taken: what is trained is never above the budget.

    Args:
        scores: Of the units of every tensor; an eligible one without is no candidate.
        extents: All eligible tensors.
        ratio: Share that is trained; exact, rounded down.
        budget: Of what.
        taken: Flags of units that may not be chosen, because earlier tasks own them.
        who: The method, for messages.

    Returns:
        Flags for every tensor that has scores.

    Raises:
        RecipeError: If nothing fits into the budget, or what is free does not fill it.
    """
    counts_params = budget == "params"
    total = sum(each.units * (each.entries if counts_params else 1) for each in extents.values())
    wanted = share_of(ratio, total)
    kind = "scalars" if counts_params else "units"
    order = torch.sort(joined(scores), descending=True, stable=True).indices
    sizes = torch.cat([torch.full((each.numel(),), extents[name].entries) for name, each in scores.items()])
    if taken:
        free = torch.cat([~taken[name].reshape(-1) for name in scores])
        order = order[free[order]]
    room = int(sizes[order].sum()) if counts_params else len(order)
    if room < wanted:
        raise RecipeError(
            [
                f"{who}: eligible {kind} have run out: earlier tasks own {total - room:,} of {total:,}, and the budget "
                f"asks for {wanted:,}; give a lower ratio, or overlap='damp' or 'allow'"
                if taken
                else f"{who}: {room:,} of {total:,} eligible {kind} have a score, and the budget asks for {wanted:,}; "
                "give a lower ratio, or strategy='l2_fisher'"
            ]
        )
    picked = fitting(order, sizes, wanted) if counts_params else order[:wanted]
    if not len(picked):
        smallest = f"; the smallest of them has {int(sizes.min()):,}" if counts_params else ""
        raise RecipeError(
            [f"{who}: ratio={ratio:g} of {total:,} eligible {kind} selects nothing{smallest}; give a higher ratio"]
        )
    flags = torch.zeros(len(sizes), dtype=torch.bool)
    flags[picked] = True
    return parted(flags, scores)


def fitting(order: Tensor, sizes: Tensor, budget: int) -> Tensor:
    """Positions of the units that are taken from an order, each that still fits."""
    if len(order) and bool((sizes[order] == sizes[order[0]]).all()):
        return order[: budget // int(sizes[order[0]])]
    found, left = [], budget
    for position, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        if size <= left:
            found.append(position)
            left -= size
    return torch.tensor(found, dtype=torch.long)
