"""Measured checkpoints made up without a model, and relations with numbers of one's choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from holdfast.core.foretelling import SIZE, Foretelling, Measured, Settings
from holdfast.metrics.correlation import Estimate, Undefined
from holdfast.metrics.families import LeaveOneOut, Permuted, Without
from holdfast.metrics.interval import Interval
from holdfast.metrics.relation import Partial, Prediction, Relation
from holdfast.report.relations.analysis import GAIN, LOG_SIZE, Related, related

CKA = "cka_biased/general"

Build = Callable[..., Foretelling]
Make = Callable[..., Relation]


@pytest.fixture(scope="session")
def build() -> Build:
    """Families of three seeds; CKA follows forgetting, stable rank does not, one measure is not everywhere."""

    def built(families: int = 6, seeds: int = 3, draws: int = 20, constant: Sequence[str] = ()) -> Foretelling:
        rng = np.random.default_rng(0)
        checkpoints = []
        for family in range(families):
            for seed in range(seeds):
                forgetting = 0.1 * family + 0.02 * rng.normal()
                measures = {
                    SIZE: float(np.exp(0.2 * rng.normal())),
                    "stable_rank": float(rng.normal() + 5),
                    CKA: float(1 - forgetting + 0.01 * rng.normal()),
                }
                measures |= dict.fromkeys(constant, 0.5)
                if family:
                    measures["energy_seen_frac"] = 0.5
                checkpoints.append(
                    Measured(
                        family=f"method {family}",
                        seed=seed,
                        step=10,
                        gain=float(rng.normal()),
                        forgetting=forgetting,
                        forgetting_draws=tuple((forgetting + 0.01 * rng.normal(size=draws)).tolist()),
                        measures=measures,
                    )
                )
        return Foretelling(
            base="tiny",
            learn=("sums",),
            keep=("facts", "logic"),
            settings=Settings(tokens_per_prompt=6),
            prompts={"general": 98, "target": 90},
            checkpoints=tuple(checkpoints),
        )

    return built


@pytest.fixture(scope="session")
def found(build: Build) -> Foretelling:
    return build()


@pytest.fixture(scope="session")
def answer(found: Foretelling) -> Related:
    return related(found, 200)


@pytest.fixture(scope="session")
def make() -> Make:
    """A relation with the numbers given; the rest is as one expects of twelve methods and three seeds."""

    def made(
        measure: str,
        r: float | str = 0.9,
        half: float = 0.05,
        *,
        held: float | str = 0.8,
        held_half: float = 0.1,
        p: float | str = 0.001,
        r_squared: float | str = 0.7,
        by_size: float | str = 0.5,
        turned: Sequence[tuple[str, ...]] = (),
        families: int = 12,
        permuted: Permuted | None = None,
        noise: bool = True,
    ) -> Relation:
        def estimate(value: float | str, half: float) -> Estimate | Undefined:
            if isinstance(value, str):
                return Undefined(value)
            return Estimate(value, Interval(value - half, value + half), 0)

        def number(value: float | str) -> float | Undefined:
            return Undefined(value) if isinstance(value, str) else value

        return Relation(
            measure=measure,
            checkpoints=3 * families,
            families=families,
            seeds=3,
            indicative=families < 5,
            level=0.95,
            redraws=10_000,
            outcome_noise_included=noise,
            pearson=estimate(r, half),
            spearman=estimate(r, half),
            partials=tuple(
                Partial(names, estimate(held, held_half)) for names in ((LOG_SIZE,), (GAIN,), (LOG_SIZE, GAIN))
            ),
            left_out=LeaveOneOut((Without(("lora",), 0.5, 0.5),), 0.5, 0.5, tuple(turned), ()),
            prediction=Prediction(measure, number(r_squared)),
            baselines=(Prediction("mean", -0.1), Prediction(LOG_SIZE, number(by_size)), Prediction(GAIN, 0.1)),
            permuted=permuted or Permuted(0.001, 10_001, exact=False),
            adjusted_p=number(p),
        )

    return made


@pytest.fixture(scope="session")
def answered(found: Foretelling) -> Callable[..., Related]:
    """Relations of one's choice, with the made-up checkpoints below them."""

    def with_relations(*relations: Relation, with_gain: Mapping[str, Estimate] | None = None) -> Related:
        return Related(found, relations, with_gain or {})

    return with_relations
