"""Evidence and comparisons made up without a model, small enough to be followed by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from holdfast.core.evidence import CurvePoint, Entrant, Evidence, RateTry, SeedRun, Standing
from holdfast.core.record import Record
from holdfast.core.scores import PointScores, TaskScores
from holdfast.core.task import Split
from holdfast.report.analysis import analysed
from holdfast.report.comparison import Comparison, PointResult

BUDGET = 1000
STEPS = (10, 20, 40)
VOCABULARY = 1024


@dataclass(frozen=True)
class Made:
    """An entrant to be made up.

    Attributes:
        learned: Share of the target items that it answers.
        forgot: Share of the kept items that it answers no longer.
        standing: How it stands to the budget.
        params: What it trains.
        failure: Why its last run failed, if it did.
    """

    learned: float = 0.5
    forgot: float = 0.1
    standing: Standing = "exact"
    params: int = BUDGET
    failure: str | None = None


BuildEvidence = Callable[..., Evidence]
BuildComparison = Callable[..., Comparison]


@pytest.fixture(scope="session")
def made() -> type[Made]:
    """The class of entrants to be made up."""
    return Made


@pytest.fixture(scope="session")
def build() -> BuildEvidence:
    """Makes evidence of entrants to be made up; see ``made_evidence``."""
    return made_evidence


@pytest.fixture(scope="session")
def small() -> Comparison:
    """A comparison with everything in it: ranked, shown apart, failed, graded tasks, a text."""
    return analysed(
        made_evidence(
            {
                "lora": Made(0.4, 0.3),
                "oft": Made(0.8, 0.05),
                "dora": Made(0.05, 0.4),
                "ia3": Made(0.2, 0.02, standing="capped", params=60),
                "full": Made(0.9, 0.9, standing="unbudgeted", params=50_000),
                "hra": Made(failure="the loss is no longer a number"),
            }
        )
    )


@pytest.fixture(scope="session")
def tell() -> BuildComparison:
    """Makes a comparison of points written down by hand, for what is said about them."""
    return written_comparison


def made_evidence(
    entrants: Mapping[str, Made],
    *,
    learn: tuple[str, str] = ("cant", "frac"),
    keep: Mapping[str, str] | None = None,
    seeds: Sequence[int] = (1, 2),
    items: int = 40,
    resamples: int = 200,
    draw: int = 0,
) -> Evidence:
    """Evidence of entrants that answer and forget as much as they are made to.

    Args:
        entrants: Label -> what it does.
        learn: Name and unit of the target.
        keep: Name -> unit of what is to be kept; two graded tasks and a text by default.
        seeds: Seeds of the reported runs.
        items: Items of a task.
        resamples: Bootstrap resamples.
        draw: Seed of the item scores.
    """
    rng = np.random.default_rng(draw)
    keep = {"recall": "frac", "logic": "frac", "chronicle": "nats/token"} if keep is None else keep
    units = dict([learn]) | dict(keep)

    def scores(split: Split, learned: float, forgot: float, *, base: bool = False) -> PointScores:
        tasks = []
        for task, unit in units.items():
            right = learned if task == learn[0] else 1 - forgot
            tasks.append(_task(rng, task, unit, right, items, split, base=base))
        return PointScores(split=split, tasks=tuple(tasks))

    return Evidence(
        recipe={"methods": list(entrants), "seeds": list(seeds), "resamples": resamples, "max_steps": STEPS[-1]},
        environment={"holdfast": "0.1.0", "python": "3.11"},
        base="miniature",
        base_identity="0123",
        base_params=600_000,
        vocabulary=VOCABULARY,
        learn=(learn[0],),
        keep=tuple(keep),
        base_validation=scores("validation", 0.0, 0.0, base=True),
        base_test=scores("test", 0.0, 0.0, base=True),
        entrants=tuple(_entrant(label, what, seeds, scores) for label, what in entrants.items()),
    )


def _task(
    rng: np.random.Generator, task: str, unit: str, right: float, items: int, split: str, *, base: bool
) -> TaskScores:
    ids = tuple(f"{task}/{split}/{i}" for i in range(items))
    if unit == "frac":
        values = (rng.random(items) < right).astype(float)
        return TaskScores(task=task, ask="generate", unit="frac", ids=ids, values=tuple(values), weights=(1.0,) * items)
    weights = tuple(float(10 + i % 7) for i in range(items))
    kl = (1 - right) * rng.uniform(0.5, 1.5, items) * np.array(weights) * (not base)
    return TaskScores(
        task=task,
        ask="read",
        unit="nats/token",
        ids=ids,
        values=tuple(-2.0 + right + 0.1 * rng.standard_normal(items)),
        weights=weights,
        kl_nats=tuple(kl),
    )


def _entrant(label: str, what: Made, seeds: Sequence[int], scores: Callable[..., PointScores]) -> Entrant:
    runs = []
    for seed in seeds:
        if what.failure is not None and seed == seeds[-1]:
            runs.append(SeedRun(seed=seed, failure=what.failure))
            continue
        ways = [(step, step / STEPS[-1]) for step in STEPS]
        curve = [
            CurvePoint(step=step, scores=scores("validation", what.learned * way, what.forgot * way))
            for step, way in ways
        ]
        facts = (
            Record(subject="run", quantity="stored_bytes", value=4096.0, unit="bytes"),
            Record(subject="run", quantity="trainable_bytes", value=4000.0, unit="bytes"),
        )
        test = scores("test", what.learned, what.forgot)
        runs.append(SeedRun(seed=seed, curve=tuple(curve), test=test, facts=facts))
    return Entrant(
        label=label,
        setting=f"{label}(r=4)",
        standing=what.standing,
        asked_params=BUDGET,
        trainable_params=what.params,
        moves_base=False,
        served_as="merged",
        learning_rate=0.001,
        tries=(RateTry(learning_rate=0.001, target=0.5, kept=-0.1),),
        unspent_tries=1,
        runs=tuple(runs),
        costs=(Record(subject=label, quantity="step_time_rel_lora", value=1.25, unit="x"),),
    )


def written_comparison(*points: dict[str, Any], **changes: Any) -> Comparison:
    """A comparison whose numbers are those written down; ranked, on two seeds and without a text unless told else."""
    still = {"gain": 0.0, "gain_interval": (0.0, 0.0), "forgetting": 0.0, "forgetting_interval": (0.0, 0.0)}
    told = [
        {"seeds": 2, "dominated_by_base_frac": 0.0, **({} if "failure" in point else still), **point}
        for point in points
    ]
    base = PointResult(name="base", gain=0.0, forgetting=0.0, target_score=0.1, kept_score=0.9, on_frontier=True)
    fields: dict[str, Any] = {
        "base": "miniature",
        "base_params": 600_000,
        "budget_params": BUDGET,
        "learn": ("cant",),
        "keep": ("recall",),
        "headline": ("recall",),
        "gain_unit": "frac",
        "forgetting_unit": "frac",
        "level": 0.95,
        "resamples": 100,
        "points": (base, *(PointResult(**point) for point in told)),
        "recipe": {},
        "environment": {},
    }
    return Comparison(**{**fields, **changes})
