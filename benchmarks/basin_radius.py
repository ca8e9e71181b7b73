"""Answers that must be graded to know how wide a basin is: a grid with a fixed sample, against a search in pairs.

Models are simulated so that their width is known: item i is answered as long as margin_i + sigma z > 0, where the z of
the items of one direction are correlated. ``python -m benchmarks.basin_radius --runs 200``
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, inf

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from holdfast.core.basin import BasinWidth
from holdfast.metrics.basin.curve import design_effect
from holdfast.metrics.basin.evaluations import Evaluations, panel
from holdfast.metrics.basin.questions import SoftDrop
from holdfast.metrics.basin.width import WidthSearch, width

ITEMS, TOLERANCE, ERROR, OFF = 512, 0.05, 0.05, 1.25
GRID, POOL, RUNS = 20, 500, 60
Z = float(ndtri(1 - ERROR))


@dataclass(frozen=True)
class Simulated:
    """A model of which the width is known.

    Attributes:
        name: What it stands for.
        base: Share of items that the base answers.
        spread: Standard deviation of the logarithm of their margins: small means a cliff, large a slope.
        shared: Correlation of the noise of two items in one direction.
    """

    name: str
    base: float
    spread: float
    shared: float

    @cached_property
    def margins(self) -> np.ndarray:
        """Of the items, negative where the base errs."""
        sizes = np.exp(self.spread * np.random.default_rng(7).standard_normal(ITEMS))
        return np.where(np.arange(ITEMS) < round(self.base * ITEMS), sizes, -2 * sizes)

    def drop(self, sigma: float) -> float:
        """The true mean drop."""
        return float(((self.margins > 0) - ndtr(self.margins / sigma)).mean())

    @cached_property
    def width(self) -> float:
        """The true width."""
        return float(brentq(lambda sigma: self.drop(sigma) - TOLERANCE, 1e-3, 1e2))

    def answers(self, sigma: float, seed: int) -> np.ndarray:
        """Grades of all items in one direction."""
        drawn = np.random.default_rng(seed).standard_normal(ITEMS + 1)
        noise = np.sqrt(self.shared) * drawn[0] + np.sqrt(1 - self.shared) * drawn[1:]
        right: np.ndarray = self.margins + sigma * noise > 0
        return right.astype(float)

    def measure(self, sigma: float, direction_seed: int, items: Sequence[int]) -> np.ndarray:
        """What `Evaluations` asks for."""
        found: np.ndarray = self.answers(sigma, direction_seed)[list(items)]
        return found

    def drops(self, sigma: float, items_a_direction: int) -> np.ndarray:
        """What many directions lose on their items, in pairs with the base."""
        lost = [(self.margins > 0) - self.answers(sigma, seed) for seed in range(POOL)]
        asked = [panel(seed, ITEMS, items_a_direction) for seed in range(POOL)]
        return np.array([each[items].mean() for each, items in zip(lost, asked, strict=True)])

    @property
    def unpaired(self) -> float:
        """Variance an item that comes on top if base and model are asked different items."""
        right, kept = float((self.margins > 0).mean()), ndtr(self.margins / self.width)
        return right * (1 - right) + float(kept.mean() * (1 - kept.mean()) - (kept * (1 - kept)).mean())

    @cached_property
    def effect(self) -> float:
        """Design effect at the width."""
        return design_effect(np.stack([self.answers(self.width, seed) for seed in range(POOL)])) or 1.0


MODELS = (
    Simulated("cliff", 0.9, 0.3, 0.02),
    Simulated("slope", 0.9, 0.6, 0.02),
    Simulated("weak base, slope", 0.7, 0.6, 0.01),
)


@dataclass
class Tally:
    """How often a way was wrong, and what it asked for."""

    items: list[int] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    too_large: int = 0
    too_small: int = 0

    def add(self, low: float | None, high: float | None, truth: float, items: int) -> None:
        """Count one run."""
        self.items.append(items)
        self.too_large += low is not None and low > truth
        self.too_small += high is not None and high < truth
        self.ratios.append(inf if low is None or high is None else high / low)

    def row(self, name: str, against: float) -> str:
        """As a line of a table."""
        runs, mean = len(self.items), float(np.mean(self.items))
        wrong = " | ".join(f"{count} of {runs}" for count in (self.too_large, self.too_small))
        median, most = np.quantile(self.ratios, (0.5, 0.95), method="nearest")
        return f"| {name} | {mean:,.0f} | {against / mean:.1f} | {wrong} | {median:.2f} | {most:.2f} |"


def grid(model: Simulated, runs: int, items_a_direction: int = ITEMS, *, paired: bool = True) -> Tally:
    """Every distance of a grid on a fixed number of answers, enough for errors of 5 % at a quarter off the width.

    The variances are taken as known, and the grid as placed around the width: both are gifts to this way.
    """
    truth, generator = model.width, np.random.default_rng(11)
    sigmas = truth * OFF ** (np.arange(GRID) - GRID // 2 + 0.5)
    extra = 0.0 if paired else model.unpaired / items_a_direction
    variance = float(model.drops(truth, items_a_direction).var()) + extra
    shift = min(TOLERANCE - model.drop(truth / OFF), model.drop(truth * OFF) - TOLERANCE)
    directions = ceil((2 * Z) ** 2 * variance / shift**2)
    tally, margin = Tally(), Z * np.sqrt(variance / directions)
    pools = np.stack([model.drops(sigma, items_a_direction) for sigma in sigmas])
    for _ in range(runs):
        seen = pools[:, generator.integers(pools.shape[1], size=directions)].mean(axis=1)
        seen = seen + generator.normal(0, np.sqrt(extra / directions), GRID)
        outside = np.flatnonzero(seen - margin > TOLERANCE)
        high = outside[0] if outside.size else GRID
        inside = np.flatnonzero(seen[:high] + margin < TOLERANCE)
        tally.add(
            float(sigmas[inside[-1]]) if inside.size else None,
            float(sigmas[high]) if high < GRID else None,
            truth,
            (GRID + 1) * directions * items_a_direction,
        )
    return tally


def searched(model: Simulated, runs: int, items_a_direction: int) -> Tally:
    """Our search, from a start that is drawn anew within the range of the grid."""
    tally, generator = Tally(), np.random.default_rng(13)
    for run in range(runs):
        start = model.width * OFF ** generator.uniform(0, GRID / 2)
        found = search(model, start, items_a_direction, run)
        tally.add(found.low, found.high, model.width, found.scored_items)
    return tally


def search(model: Simulated, start: float, items_a_direction: int, run: int) -> BasinWidth:
    """One search, on directions of its own."""
    how = WidthSearch(
        level=1 - ERROR,
        ratio=OFF**2,
        look_every=max(1, 32 // items_a_direction),
        most_directions=ceil(9600 / items_a_direction),
        first_seed=run * 10**8,
    )
    question = SoftDrop(TOLERANCE, items_a_direction)
    return width(Evaluations(model.measure, ITEMS), start, question, how)


def run(runs: int = RUNS) -> str:
    """All ways on all models, as tables."""
    return "\n".join(_table(model, runs) for model in MODELS)


def _table(model: Simulated, runs: int) -> str:
    plain = grid(model, runs, paired=False)
    against = float(np.mean(plain.items))
    rows = [
        plain.row(f"grid of {GRID}, fixed sample, unpaired", against),
        grid(model, runs).row(f"grid of {GRID}, fixed sample, in pairs", against),
        grid(model, runs, 4).row(f"grid of {GRID}, fixed sample, in pairs, 4 items a direction", against),
        *(searched(model, runs, m).row(f"search, {m} items a direction", against) for m in (1, 4, 16)),
    ]
    title = f"### Width of a basin: {model.name} (base {model.base:g}, design effect {model.effect:.1f} at the width)"
    head = [
        "| way | answers graded | times fewer | too large | too small | high / low: median | 95 % |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([title, "", *head, *rows]) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    print(run(parser.parse_args().runs))
