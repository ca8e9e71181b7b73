"""From the plan of a small model to one of a larger model of the family: by module type and relative depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from holdfast.core.errors import HoldfastError, RecipeError, unknown
from holdfast.core.parameter_plan import ParameterPlan, PlannedTensor
from holdfast.methods.probing.choosing import Budget, Extent, chosen
from holdfast.methods.probing.options import wrong_ratio
from holdfast.methods.small_to_large.places import layers_of, place_of, relative_depth

Profile = tuple[Float[np.ndarray, " layers"], Float[np.ndarray, " layers"]]
"""Relative depths at which scores of a type are known, ascending, and the scores there."""

RULE = "by module type and relative depth, linear between layers"


def sizes_of(model: nn.Module) -> dict[str, int]:
    """How many scalars every tensor of a model has, by name; tied tensors come once. A skeleton is enough."""
    return {name: tensor.numel() for name, tensor in model.named_parameters()}


def mapped(
    small: ParameterPlan,
    larger: Mapping[str, int],
    *,
    name: str = "the larger model",
    ratio: float = 0.1,
    budget: Budget = "tensors",
) -> ParameterPlan:
    """A plan for a larger model of a family, from that of a small one.

    The scores of each module type are laid over relative depth l / (L - 1), joined by straight lines, and read at the
    layers of the larger model. Tensors outside of layers are carried over by name. Types that only one of the models
    has stay without a score; ``settings`` of the plan tell them. How the public TRACE study maps is not known: this is
    the least that works across numbers of layers.

    Args:
        small: A plan with scores.
        larger: Scalars of every tensor of the larger model, from ``sizes_of``.
        name: What the larger model is called.
        ratio: Share that is chosen, above 0 and at most 1.
        budget: Of what the share is taken: of the ``tensors`` that have a score, rounded down, or of their ``params``,
            where the best that still fit are taken one by one.

    Returns:
        The plan. Its probe was not run on the larger model, so that it names no identities.

    Raises:
        HoldfastError: If the small plan has no scores or is of parts of tensors, or no type is shared.
        NotMeasurable: If one of the models has a single layer.
        RecipeError: If the share is impossible or selects nothing.
    """
    faults = list(wrong_ratio(ratio))
    if budget not in get_args(Budget):
        faults.append(unknown("budget", budget, get_args(Budget)))
    if faults:
        raise RecipeError(faults, "small to large")
    profiles = profiles_of(small)
    scores = read_at(profiles, list(larger), name)
    if not scores:
        raise HoldfastError(
            f"no module type of the small plan is found in {name}: the plan speaks of {_few(list(profiles))}, the "
            f"model has {_few([place_of(tensor).kind for tensor in larger])}; are they of one family?"
        )
    best = _best(scores, larger, ratio, budget, name)
    ranked = sorted(scores, key=lambda tensor: -scores[tensor])
    ranks = {tensor: place for place, tensor in enumerate(ranked, start=1)}
    kinds = dict.fromkeys(place_of(tensor).kind for tensor in larger)
    return ParameterPlan(
        task=small.task,
        method=small.method,
        seed=small.seed,
        model_params=sum(larger.values()),
        model_tensors=len(larger),
        tensors=tuple(
            PlannedTensor(name=tensor, params=larger[tensor], chosen=tensor in best, score=score, rank=ranks[tensor])
            for tensor, score in scores.items()
        ),
        settings={
            "mapped_to": name,
            "rule": RULE,
            "ratio": ratio,
            "budget": budget,
            "small_model_params": small.model_params,
            "small_model_tensors": small.model_tensors,
            "small_probe_identity": small.probe_identity,
            "small_settings": dict(small.settings),
            "layers": {"small": layers_of(tensor.name for tensor in small.tensors), "larger": layers_of(larger)},
            "types_only_small": [kind for kind in profiles if kind not in kinds],
            "types_without_score": [kind for kind in kinds if kind not in profiles],
        },
    )


def profiles_of(plan: ParameterPlan) -> dict[str, Profile]:
    """The scores of every module type over relative depth; those of tensors outside of layers stand at depth 0.

    Raises:
        HoldfastError: If a tensor has no score, parts of one are chosen, or there is no tensor.
        NotMeasurable: If the model has a single layer.
    """
    if not plan.tensors:
        raise HoldfastError(f"the plan of task '{plan.task}' names no tensor that could be trained")
    bare = [tensor.name for tensor in plan.tensors if tensor.score is None]
    if bare:
        raise HoldfastError(
            f"the plan of task '{plan.task}' has no score for '{bare[0]}' ({len(bare)} of {len(plan.tensors)} tensors "
            "lack one), and scores are what is carried over; give a plan that a probe has made"
        )
    if parts := [tensor.name for tensor in plan.tensors if tensor.chosen_params is not None]:
        raise HoldfastError(
            f"the plan of task '{plan.task}' chooses parts of tensors, such as of '{parts[0]}', and rows of one model "
            "are not those of another; probe with granularity='tensor'"
        )
    layers = layers_of(tensor.name for tensor in plan.tensors)
    points: dict[str, list[tuple[float, float]]] = {}
    for tensor in plan.tensors:
        place, score = place_of(tensor.name), tensor.score
        assert score is not None, "tensors without a score were refused above"
        depth = 0.0 if place.layer is None else relative_depth(place, layers[place.stack], "the small model")
        points.setdefault(place.kind, []).append((depth, score))
    columns = {kind: np.array(sorted(known), dtype=np.float64).T for kind, known in points.items()}
    return {kind: (depths, scores) for kind, (depths, scores) in columns.items()}


def read_at(profiles: Mapping[str, Profile], names: Sequence[str], whose: str) -> dict[str, float]:
    """What the profiles say at the places of tensors; tensors of other types are left out.

    Args:
        profiles: Scores of every module type over relative depth.
        names: All tensors of the model, so that its layers can be counted.
        whose: The model, for messages.

    Raises:
        NotMeasurable: If the model has a single layer.
    """
    layers = layers_of(names)
    scores = {}
    for name in names:
        place = place_of(name)
        if place.kind in profiles:
            depth = 0.0 if place.layer is None else relative_depth(place, layers[place.stack], whose)
            scores[name] = float(np.interp(depth, *profiles[place.kind]))
    return scores


def _best(
    scores: Mapping[str, float], sizes: Mapping[str, int], ratio: float, budget: Budget, whose: str
) -> frozenset[str]:
    """The best by score, as a probe of the model would choose them."""
    units = {name: torch.tensor([score], dtype=torch.float64) for name, score in scores.items()}
    extents = {name: Extent(units=1, entries=sizes[name]) for name in scores}
    flags = chosen(units, extents, ratio, budget, who=whose)
    return frozenset(name for name, flag in flags.items() if bool(flag))


def _few(kinds: Sequence[str]) -> str:
    different = list(dict.fromkeys(kinds))
    return ", ".join(f"'{kind}'" for kind in different[:3]) + (f" and {len(different) - 3} more" * (len(different) > 3))
