"""Fine-tunes that are at hand: where each lies, what it scores itself, and what a random move as long does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peft import PeftModel
from transformers import PreTrainedModel

from holdfast.core.basin import BasinVerdict, BasinWidth
from holdfast.core.certificate import Certificate
from holdfast.core.errors import NotMeasurable
from holdfast.measure.basin.ability import Ability
from holdfast.measure.basin.asked import MATCHED_SEEDS, Notebook
from holdfast.measure.basin.ways import identity_of_update
from holdfast.measure.patients import patient
from holdfast.measure.points import Point
from holdfast.metrics.basin.evaluations import ALONE, Evaluations
from holdfast.metrics.basin.verdict import judge
from holdfast.models.base import Base
from holdfast.weights.adapter import is_adapter
from holdfast.weights.adapter_rays import live_frozen_a
from holdfast.weights.borrowed import Borrowed
from holdfast.weights.rays import gaussian
from holdfast.weights.update import Update


@dataclass(frozen=True)
class FineTune:
    """A model that was made from the base.

    Attributes:
        name: The folder, as it was named.
        update: How it differs from the model around which the basin lies.
        point: The model itself, over the bare base.
        norm: Length of the update.
        identity: Name of the update, by its numbers.
    """

    name: str
    update: Update
    point: Point
    norm: float
    identity: str

    @property
    def is_adapter(self) -> bool:
        """Whether it is an adapter."""
        return is_adapter(Path(self.name))


def fine_tune(base: Base, folder: str, start: Update | None = None, *, allow_pickle: bool = False) -> FineTune:
    """A fine-tune from its folder.

    Args:
        base: The base.
        folder: An adapter or a full model folder.
        start: What was done to the base before, where the basin lies around something else than the base.
        allow_pickle: Open weights stored as pickles.

    Raises:
        NotMeasurable: If it is quantised, moves layers apart that share a weight, or is where the basin's middle is.
        IncompatibleUpdate: If it was made from another base.
        DamagedCheckpoint: If a file is missing or cut off.
        UnsafeFile: If weights are pickles and ``allow_pickle`` is not set.
    """
    found = patient(base.name, Path(folder), base, allow_pickle=allow_pickle)
    found.update.places_in(base.model)
    update = found.update if start is None else found.update.plus(start.scaled(-1))
    norm = update.norm()
    if not norm > 0:
        raise NotMeasurable(
            f"{folder} is {norm:g} away from the model around which basins are measured: there is nothing to be judged"
        )
    assert found.point is not None, "a base was given"
    return FineTune(folder, update, found.point, norm, identity_of_update(update))


def own_scores(found: FineTune, base: Base, ability: Ability, folder: Path | None) -> list[float]:
    """What a fine-tune scores itself, run as its users run it: a score an item.

    Args:
        found: The fine-tune.
        base: The base, as it was opened.
        ability: What is asked.
        folder: Where scores are kept; in memory without one.
    """

    def ask(model: PreTrainedModel, sigma: float, seed: int, items: Sequence[int]) -> Sequence[float]:
        with found.point.on(model) as live:
            return ability.ask(live, items)

    key = f"fine-tune {found.identity}"
    asked = Notebook(base.identity, folder).evaluations(ability, key, key, lambda sigma, seed: base.model, ask)
    scores: list[float] = asked.scores(0.0, ALONE).tolist()
    return scores


def judged(
    found: FineTune,
    width: BasinWidth,
    scores: Evaluations,
    own: Sequence[float],
    model: PreTrainedModel,
    seeds: int,
    certificate: Certificate | None,
) -> BasinVerdict:
    """A fine-tune beside the basin of an ability, and beside random moves of exactly its length.

    Args:
        found: The fine-tune.
        width: Of the basin along random directions.
        scores: Of the ability along them.
        own: What the fine-tune scores itself.
        model: The model around which the basin lies.
        seeds: How many random moves.
        certificate: What was certain beforehand, if anything is.
    """
    rays = {seed: gaussian(model, seed) for seed in range(MATCHED_SEEDS, MATCHED_SEEDS + seeds)}
    as_far = [scores.scores(ray.distance(found.norm), seed) for seed, ray in rays.items()]
    return judge(
        width,
        found.name,
        found.norm,
        rays[MATCHED_SEEDS].d,
        scores.base().tolist(),
        own,
        np.mean(as_far, axis=0).tolist(),
        certificate,
    )


def without_b(held: Borrowed) -> PeftModel:
    """The adapter with B at 0, where it is its base, and its A the space that a tuning of B could reach.

    Raises:
        NotMeasurable: If it is not of plain LoRA, or changes the base by more than its B.
    """
    for name in live_frozen_a(held.model, 0).update:
        held.model.get_parameter(name).detach().zero_()
    if left := held.update().norm():
        raise NotMeasurable(
            f"with its B at 0 the adapter is still {left:g} away from its base, which it changes by other means: the "
            "space of its B is not one around the base"
        )
    return held.model
