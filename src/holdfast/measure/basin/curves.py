"""What is found along one way: curves, widths from where they fall, certificates inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from holdfast.core.basin import BasinCurve, BasinWidth
from holdfast.core.basin_recipe import BasinRecipe
from holdfast.core.certificate import Certificate
from holdfast.core.errors import NotMeasurable, UnknownName
from holdfast.measure.basin.ability import Ability
from holdfast.measure.basin.asked import CERTIFICATE_SEEDS, CURVE_SEEDS, WIDTH_SEEDS
from holdfast.metrics.basin.bounds import REFUSED
from holdfast.metrics.basin.certifying import Noise, certify_score, certify_share
from holdfast.metrics.basin.curve import curve
from holdfast.metrics.basin.evaluations import Evaluations
from holdfast.metrics.basin.questions import SoftDrop
from holdfast.metrics.basin.width import WidthSearch, width

FORMS: Final = ("share", "score")

Tick = Callable[[str], None]
"""Told what is done now."""


def check_forms(forms: Sequence[str]) -> None:
    """Refuse certificates that are no theorems for scores of answers.

    Raises:
        NotMeasurable: If one is a statement that is known to be wrong or empty here; says why.
        UnknownName: If there is no such certificate.
    """
    for form in forms:
        if form in REFUSED:
            raise NotMeasurable(REFUSED[form])
        if form not in FORMS:
            raise UnknownName("certificate", form, FORMS)


def curves_along(
    asked: Sequence[tuple[Ability, Evaluations]],
    direction: str,
    sigmas: Sequence[float],
    seeds: int,
    tau: float,
    tick: Tick = lambda what: None,
) -> tuple[BasinCurve, ...]:
    """The curve of every ability along directions of one kind.

    Every direction is walked once for all abilities and distances, since drawing it costs a pass over the weights.

    Args:
        asked: The abilities with their scores.
        direction: The kind.
        sigmas: Distances.
        seeds: How many directions.
        tau: Mean drop up to which the soft width goes.
        tick: For progress.
    """
    for _, scores in asked:
        scores.self_noise()
    for seed in range(CURVE_SEEDS, CURVE_SEEDS + seeds):
        tick(f"{direction}: direction {seed - CURVE_SEEDS + 1} of {seeds}")
        for sigma in sorted(sigmas):
            for _, scores in asked:
                scores.scores(sigma, seed)
    return tuple(
        curve(
            scores,
            sigmas,
            range(CURVE_SEEDS, CURVE_SEEDS + seeds),
            ability=ability.name,
            direction=direction,
            tolerance=tau,
            chance=ability.chance,
            smooth=ability.smooth,
        )
        for ability, scores in asked
    )


def width_from(
    found: BasinCurve, ability: Ability, scores: Evaluations, recipe: BasinRecipe, tick: Tick = lambda what: None
) -> BasinWidth:
    """The width of an ability, looked for from the first distance at which its curve has fallen.

    Its verdicts rest on directions of their own, so that the curve may say where to begin.

    Raises:
        NotMeasurable: If scores are smooth, or the base is no better than a guess by more than what may be lost.
    """
    if ability.smooth:
        raise NotMeasurable(f"'{ability.name}' is scored by likelihoods, which fall from the first step on: no basin")
    tick(f"{found.direction}: width of {ability.name}")
    fallen = (level.sigma for level in found.levels if found.base - level.mean > recipe.tau)
    search = WidthSearch(level=recipe.level, most_directions=recipe.most_directions, first_seed=WIDTH_SEEDS)
    return width(
        scores,
        next(fallen, found.levels[-1].sigma),
        SoftDrop(recipe.tau),
        search,
        ability=ability.name,
        chance=ability.chance,
    )


def certified(
    ability: Ability,
    scores: Evaluations,
    noise: Noise,
    recipe: BasinRecipe,
    sigmas: float | None = None,
    *,
    forms: Sequence[str] = FORMS,
) -> tuple[Certificate, ...]:
    """Certificates of the forms that the recipe asks for; those of one noise rest on the same fresh directions.

    Args:
        ability: What is kept.
        scores: Its scores.
        noise: The noise, chosen without a look at these directions.
        recipe: Which forms, how sure, from how many directions.
        sigmas: Mahalanobis length of the displacement of interest, if there is one.
        forms: Which forms make sense here.
    """
    asked = [form for form in forms if form in recipe.certificates]
    seeds = range(CERTIFICATE_SEEDS, CERTIFICATE_SEEDS + recipe.certificate_directions)
    means = [float(scores.scores(noise.sigma, seed).mean()) for seed in seeds] if asked else []
    base = float(scores.base().mean())
    told: dict[str, Any] = {
        "sigmas": sigmas,
        "level": recipe.certificate_level,
        "ability": ability.name,
        "chance": ability.chance,
    }
    makers = {
        "share": lambda: certify_share(noise, means, base - recipe.tau, **told),
        "score": lambda: certify_score(noise, means, keep=(base + ability.chance) / 2, **told),
    }
    return tuple(makers[form]() for form in asked)
