"""Candidates along a path from tables of scores, one row a point, and the curves that choices are simulated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from holdfast.core.scores import Unit
from holdfast.metrics.operating_point.candidates import Candidate, Curve, ItemScores

ELEVEN = np.linspace(0, 1, 11)


def scores(values: object, weights: object = None, unit: Unit = "frac") -> ItemScores:
    values = np.asarray(values, dtype=float)
    return ItemScores(values, np.ones(values.shape) if weights is None else np.asarray(weights, dtype=float), unit)


def candidates(
    target: object,
    t: Sequence[float] | np.ndarray | None = None,
    *,
    kept: Mapping[str, object] | None = None,
    unit: Unit = "frac",
    units: Mapping[str, Unit] | None = None,
    steps: Sequence[float] | None = None,
    kl_nats: Sequence[float | None] | None = None,
    weights: object = None,
    kept_weights: Mapping[str, object] | None = None,
) -> list[Candidate]:
    """Points with steps equal to t, unless said otherwise, that are evenly spaced, unless said otherwise."""
    table = np.asarray(target, dtype=float)
    places = np.linspace(0, 1, len(table)) if t is None else np.asarray(t)
    kept = {task: np.asarray(rows, dtype=float) for task, rows in (kept or {}).items()}
    return [
        Candidate(
            t=float(place),
            step_frac=float(place if steps is None else steps[i]),
            target=scores(table[i], weights, unit),
            kept={
                task: scores(rows[i], (kept_weights or {}).get(task), (units or {}).get(task, "frac"))
                for task, rows in kept.items()
            },
            kl_nats=None if kl_nats is None else kl_nats[i],
        )
        for i, place in enumerate(places)
    ]


def curve(*args: object, **kwargs: object) -> Curve:
    return Curve.through(candidates(*args, **kwargs))  # type: ignore[arg-type]


def level_curve(means: object, items: int = 1) -> np.ndarray:
    """A table in which every item has the mean: no noise."""
    return np.repeat(np.asarray(means, dtype=float)[:, np.newaxis], items, axis=1)


def noisy_curve(
    means: object, items: int, rng: np.random.Generator, sd: float = 0.45, shared: float = 0.0
) -> np.ndarray:
    """Means with noise of items, of which a share of the variance is the same at all points."""
    means = np.asarray(means, dtype=float)[:, np.newaxis]
    common, own = rng.normal(size=items), rng.normal(size=(len(means), items))
    return np.asarray(means + sd * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own))


@st.composite
def lattice_curves(draw: st.DrawFn, items: int = 0, constant: bool = False) -> dict[str, np.ndarray]:
    """Target and two kept tasks with scores in eighths, so that sums of them are exact."""
    points = draw(st.integers(2, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    found = {}
    for name in ("target", "recall", "logic"):
        count = items or draw(st.integers(2, 9))
        rows = 1 if constant else points
        table = rng.integers(0, draw(st.sampled_from([2, 9])), (rows, count)) / 8
        found[name] = np.broadcast_to(table, (points, count)).copy()
    return found
