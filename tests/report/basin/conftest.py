"""Measurements of basins made up without a model: an item is answered until the noise reaches what it bears."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from holdfast.core.basin import (
    BasinCurve,
    BasinMeasurement,
    BasinVerdict,
    BasinWidth,
    InputCurve,
    InputLevel,
    WidthStep,
)
from holdfast.core.certificate import Certificate
from holdfast.metrics.basin.certifying import Noise, certify_score, certify_share
from holdfast.metrics.basin.curve import curve
from holdfast.metrics.basin.evaluations import Evaluations
from holdfast.metrics.basin.verdict import judge
from holdfast.metrics.significance import seed_interval
from holdfast.report.basin.seen import Seen, seen

BuildBasin = Callable[..., BasinMeasurement]

COORDINATES = 640_000
CHANCE = 0.25
ABILITIES: Mapping[str, float] = {"sums": 0.004}
"""Ability -> the sigma at which it breaks, about."""

SIX: Mapping[str, float] = {
    "recall": 0.011,
    "sums": 0.004,
    "order": 0.0045,
    "two_hop_reasoning": 0.008,
    "refusals": 0.0021,
    "chronicle": 0.013,
}
TUNED: Mapping[str, tuple[float, float]] = {
    "/runs/benign/final": (0.0007, 2.0),
    "/runs/normal/final": (0.003, 0.8),
    "/runs/adversarial/final": (0.0055, 0.3),
}
"""Fine-tune -> how far it went, and how much the way it went bears, of what a random one does."""

SIGMAS = tuple(float(sigma) for sigma in np.geomspace(0.0003, 0.05, 9))


def made_evaluations(bears: float, items: int = 60, spread: float = 0.15, draw: int = 0) -> Evaluations:
    """A model that answers nine of ten items until the noise is too much, and then guesses."""
    rng = np.random.default_rng(draw)
    right = rng.random(items) < 0.9
    limits = bears * np.exp(0.5 * rng.standard_normal(items))

    def measure(sigma: float, seed: int, asked: Sequence[int]) -> np.ndarray:
        own = np.random.default_rng([seed, draw])
        factor, guess = np.exp(spread * own.standard_normal()), own.random(items) < CHANCE
        return np.where(sigma < limits * factor, right, guess)[list(asked)].astype(float)

    return Evaluations(measure, items)


def made_width(ability: str, bears: float, reason: str | None = None) -> BasinWidth:
    """An interval around half of what it bears, or the reason why there is none."""
    if reason is not None:
        return BasinWidth(
            ability=ability, question="mean drop of at most 0.05", test="betting on the mean over directions",
            level=0.95, steps=(), scored_items=0, reason=reason,
        )  # fmt: skip
    low, high = 0.38 * bears, 0.5 * bears
    steps = [
        WidthStep(sigma=sigma, verdict="outside", directions=directions, estimate=drop)
        for sigma, directions, drop in ((16 * high, 9, 0.62), (4 * high, 14, 0.41), (high, 160, 0.12))
    ]
    return BasinWidth(
        ability=ability, question="mean drop of at most 0.05", test="betting on the mean over directions", level=0.95,
        low=low, high=high, steps=(*steps, WidthStep(sigma=low, verdict="inside", directions=92, estimate=0.004)),
        scored_items=1100,
    )  # fmt: skip


def made_certificates(ability: str, bears: float, moved: float | None = None) -> tuple[Certificate, ...]:
    """One in a small space that says something, and one over all weights, of a move that is far too long for it."""
    rng = np.random.default_rng(0)
    scores = (0.8 + 0.05 * rng.random(120)).tolist()
    sigma = 0.3 * bears
    return (
        certify_share(
            Noise(40 * sigma, "B of an adapter, A frozen"), scores, 0.75, sigmas=0.5, ability=ability, chance=CHANCE
        ),
        certify_score(
            Noise(sigma), scores, sigmas=None if moved is None else moved / sigma, ability=ability, chance=CHANCE
        ),
    )


def made_inputs(ability: str, bears: float) -> tuple[InputCurve, ...]:
    """Tokens replaced and embeddings disturbed, five draws each."""
    found = []
    rng = np.random.default_rng(1)
    grids: dict[str, tuple[float, ...]] = {"tokens": (0.02, 0.05, 0.1, 0.2), "embeddings": (0.01, 0.03, 0.1, 0.3)}
    for kind, amounts in grids.items():
        levels = []
        for amount in amounts:
            mean = CHANCE + (0.9 - CHANCE) * np.exp(-amount * 0.03 / bears)
            scores = np.clip(mean + 0.02 * rng.standard_normal(5), 0, 1)
            interval = tuple(seed_interval(scores))
            levels.append(InputLevel(amount=amount, scores=tuple(scores), mean=float(scores.mean()), spread=interval))
        found.append(
            InputCurve(ability=ability, kind=kind, base=0.9, chance=CHANCE, items=60, levels=tuple(levels))  # type: ignore[arg-type]
        )
    return tuple(found)


def made_basin(
    abilities: Mapping[str, float] | None = None,
    tuned: Mapping[str, tuple[float, float]] | None = None,
    *,
    directions: int = 16,
    items: int = 60,
    worst: bool = True,
    certified: bool = False,
    inputs: bool = False,
    reasons: Mapping[str, str] | None = None,
    smooth: Sequence[str] = (),
    spread: float = 0.15,
    **changes: object,
) -> BasinMeasurement:
    """A measurement of abilities that break at so much noise, with fine-tunes that went so far."""
    abilities, tuned = ABILITIES if abilities is None else abilities, tuned or {}
    curves: list[BasinCurve] = []
    widths: list[BasinWidth] = []
    verdicts: list[BasinVerdict] = []
    certificates: list[Certificate] = []
    for number, (ability, bears) in enumerate(abilities.items()):
        told = {"ability": ability, "chance": CHANCE, "smooth": ability in smooth}
        asked = made_evaluations(bears, items, spread, number)
        curves.append(curve(asked, SIGMAS, range(directions), **told))  # type: ignore[arg-type]
        if worst:
            nearer = made_evaluations(bears / 12, items, spread, number)
            curves.append(curve(nearer, SIGMAS, [0], direction="worst", **told))  # type: ignore[arg-type]
        if ability not in smooth:
            widths.append(made_width(ability, bears, (reasons or {}).get(ability)))
        if certified:
            certificates += made_certificates(ability, bears)
        for name, (sigma, share) in tuned.items():
            way = made_evaluations(bears * share, items, 0.0, number)
            curves.append(curve(way, SIGMAS, [0], direction=f"toward {name}", **told))  # type: ignore[arg-type]
            matched = np.mean([asked.scores(sigma, seed) for seed in range(8)], axis=0)
            length = sigma * COORDINATES**0.5
            verdicts.append(
                judge(
                    made_width(ability, bears), name, length, COORDINATES, way.base().tolist(),
                    way.scores(sigma, 0).tolist(), matched.tolist(),
                    made_certificates(ability, bears, length)[1] if certified else None,
                )
            )  # fmt: skip
    given = {
        "base": "/models/miniature",
        "base_identity": "0123abcd",
        "space": "all weights",
        "coordinates": COORDINATES,
        "lost_frac": ((0.0003, 0.02), (0.005, 0.0001)),
        "hash_before": "9f8e7d6c",
        "hash_after": "9f8e7d6c",
        "curves": tuple(curves),
        "widths": tuple(widths),
        "certificates": tuple(certificates),
        "verdicts": tuple(verdicts),
        "inputs": tuple(e for a, bears in abilities.items() for e in made_inputs(a, bears)) if inputs else (),
        "environment": {"holdfast": "0.1.0", "dtype": "float32", "seconds": "81.2"},
        "recipe": {"suite": "general", "sigmas": list(SIGMAS), "seeds": directions, "items": items},
        "command": "holdfast basin miniature --suite general --output_dir basin",
    }
    return BasinMeasurement.model_validate({**given, **changes})


@pytest.fixture(scope="session")
def build() -> BuildBasin:
    """Makes a measurement; see ``made_basin``."""
    return made_basin


@pytest.fixture(scope="session")
def one() -> Seen:
    """One ability, one kind of fine-tune: none."""
    return seen(made_basin())


@pytest.fixture(scope="session")
def full() -> BasinMeasurement:
    """Six abilities, three fine-tunes, certificates, disturbed prompts, tensors left out, a width not found."""
    return made_basin(
        SIX,
        TUNED,
        certified=True,
        inputs=True,
        reasons={"chronicle": "after 10 distances none was found outside: start further out"},
        lost_frac=((0.0003, 0.62), (0.005, 0.04)),
        notes=("the worst direction was sought on training examples, 30 steps",),
    )


@pytest.fixture(scope="session")
def view(full) -> Seen:
    """The same, ready to be told."""
    return seen(full)


@pytest.fixture(scope="session")
def before() -> Seen:
    """An earlier model whose basins are half as wide."""
    return seen(made_basin({ability: bears / 2 for ability, bears in SIX.items()}, worst=False, base="/models/adamw"))
