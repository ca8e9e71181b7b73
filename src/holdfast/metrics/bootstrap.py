"""The paired hierarchical bootstrap: what gain and forgetting could have been with other items and other seeds.

In every resample the items of a benchmark are drawn with replacement once, for the base and all entrants alike, so that
whatever makes an item easy or hard for everyone cancels out of every difference. The training seeds of each entrant are
drawn with replacement too, the same draw for all benchmarks, since one seed is one model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from holdfast.core.keys import key_of
from holdfast.metrics.interval import FEWEST_ITEMS_FOR_BCA, Interval, acceleration_of, influence_of, interval
from holdfast.metrics.tradeoff import (
    BASE,
    FORGETTING,
    GAIN,
    Benchmark,
    Role,
    UnusableScores,
    by_name,
    components,
    entrants_of,
    estimate,
    seed_mean,
)

CELLS_AT_ONCE: Final = 2**21
"""Item counts held in memory at a time (16 MiB an array)."""


@dataclass(frozen=True)
class Contrast:
    """One entrant minus another.

    Attributes:
        value: The difference in the data as they are.
        spread: Its interval.
        seed_noise_included: Whether the interval covers other training seeds, or other items alone.
    """

    value: float
    spread: Interval
    seed_noise_included: bool


@dataclass(frozen=True, eq=False)
class Resamples:
    """Every quantity of every entrant in every resample; draw b of all of them comes from the same items.

    Attributes:
        benchmarks: The data.
        base_means: Benchmark -> mean score of the base.
        differences: (Entrant, benchmark) -> entrant minus base.
        seed_noise_included: Entrant -> whether its seeds were resampled, which takes at least two.
    """

    benchmarks: tuple[Benchmark, ...]
    base_means: Mapping[str, Float[np.ndarray, " resamples"]]
    differences: Mapping[tuple[str, str], Float[np.ndarray, " resamples"]]
    seed_noise_included: Mapping[str, bool]

    @property
    def count(self) -> int:
        """Number of resamples."""
        return len(next(iter(self.base_means.values())))

    @property
    def entrants(self) -> tuple[str, ...]:
        """The base and everyone who has scores on at least one benchmark."""
        return entrants_of(self.benchmarks)

    def estimate(self, entrant: str, quantity: str) -> float:
        """Gain, forgetting, or the difference on one benchmark, in the data as they are."""
        return estimate(self.benchmarks, entrant, quantity)

    def draws(self, entrant: str, quantity: str) -> Float[np.ndarray, " resamples"]:
        """The same in every resample."""
        total = np.zeros(self.count)
        for benchmark, factor in components(self.benchmarks, entrant, quantity):
            if entrant != BASE:
                total += factor * self.differences[entrant, benchmark.name]
        return total

    def scores(self, entrant: str, role: Role) -> Float[np.ndarray, " resamples"]:
        """Mean score over the benchmarks of one role in every resample: the place of an entrant on that axis."""
        quantity = GAIN if role == "learn" else FORGETTING
        total = np.zeros(self.count)
        for benchmark, factor in components(self.benchmarks, entrant, quantity):
            total += abs(factor) * self.base_means[benchmark.name]
        shift = self.draws(entrant, quantity)
        total += shift if role == "learn" else -shift
        return total


def resample(
    benchmarks: Sequence[Benchmark],
    resamples: int = 10_000,
    seed: int = 0,
    trainings: Mapping[str, str] | None = None,
) -> Resamples:
    """Draw items and seeds with replacement, again and again.

    The mean of S seeds drawn with replacement has (S - 1) / S of the variance it should have, so the deviation of each
    draw from the mean over seeds is scaled by sqrt(S / (S - 1)). That mends the variance, not the tails: with two or
    three seeds that truly differ the intervals are still too narrow, and `significance.seed_interval` belongs beside
    them. Where seeds differ only item by item the intervals err on the wide side, because that part of the noise is
    drawn twice (Owen 2007, "The pigeonhole bootstrap"). With one seed only items are drawn, and the result says so.

    The draws depend on the seed and on the names of benchmarks and entrants, not on who else takes part nor on order.
    Cost: resamples x items random numbers a benchmark and one matrix product; memory does not grow with their product.

    Args:
        benchmarks: Every benchmark of the comparison.
        resamples: How many times to draw.
        seed: Seed of the draws.
        trainings: Entrant -> the training it comes from, for entrants that are points of the same trained models, such
            as a method and its rewind; they share their draws of seeds. By default everyone was trained alone.

    Returns:
        The draws. An entrant that lacks a benchmark has draws for the others, and no gain or no forgetting.

    Raises:
        UnusableScores: If there is no benchmark, two share a name, or the seeds of a training differ in number.
        ValueError: If no resamples are asked for.
    """
    if resamples < 1:
        raise ValueError(f"at least one resample is needed, asked for {resamples}")
    if not benchmarks:
        raise UnusableScores("nothing to resample: there is no benchmark")
    named = by_name(benchmarks)
    trained_as = {entrant: (trainings or {}).get(entrant, entrant) for entrant in entrants_of(benchmarks)}
    seeds = _seed_counts(benchmarks, trained_as)
    base_means, differences = {}, {}
    for name, benchmark in named.items():
        base_means[name], by_seed = _draw_items(benchmark, resamples, _generator(seed, "items", name))
        for entrant, drawn in by_seed.items():
            generator = _generator(seed, "seeds", trained_as[entrant])
            differences[entrant, name] = _draw_seeds(drawn, generator)
    return Resamples(
        benchmarks=tuple(benchmarks),
        base_means=base_means,
        differences=differences,
        seed_noise_included={entrant: seeds[training] > 1 for entrant, training in trained_as.items()},
    )


def paired_interval(
    resamples: Resamples, one: str, other: str = BASE, quantity: str = GAIN, level: float = 0.95
) -> Contrast:
    """One entrant minus another, or minus the base, with an interval over the items they share.

    BCa where every benchmark of the quantity has at least 30 items, percentiles otherwise.
    The base is fixed: a contrast with it covers seeds where the entrant has several. A contrast of two entrants covers
    them only where both have.

    Args:
        resamples: From `resample`.
        one: Who is compared.
        other: With whom.
        quantity: ``gain``, ``forgetting``, or the name of a benchmark.
        level: Share of repetitions in which such an interval should hold the truth.

    Returns:
        One minus other.
    """
    draws = resamples.draws(one, quantity) - resamples.draws(other, quantity)
    value = resamples.estimate(one, quantity) - resamples.estimate(other, quantity)
    parts = components(resamples.benchmarks, one, quantity)
    acceleration = None
    if all(benchmark.base.size >= FEWEST_ITEMS_FOR_BCA for benchmark, _ in parts):
        influence = [f * (influence_of(benchmark, one) - influence_of(benchmark, other)) for benchmark, f in parts]
        acceleration = acceleration_of(np.concatenate(influence), draws)
    trained = [entrant for entrant in (one, other) if entrant != BASE]
    return Contrast(
        value=value,
        spread=interval(draws, value, level, acceleration),
        seed_noise_included=bool(trained) and all(resamples.seed_noise_included[entrant] for entrant in trained),
    )


def _generator(seed: int, what: str, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, int(key_of({what: name}), base=16)])


def _seed_counts(benchmarks: Sequence[Benchmark], trained_as: Mapping[str, str]) -> dict[str, int]:
    """Training -> number of its seeds, which must be the same wherever it shows up."""
    counts = {BASE: 1}
    for benchmark in benchmarks:
        for entrant, scores in benchmark.entrants.items():
            expected = counts.setdefault(trained_as[entrant], len(scores))
            if expected != len(scores):
                raise UnusableScores(
                    f"benchmark '{benchmark.name}': '{entrant}' has {len(scores)} seeds, and elsewhere the same "
                    f"training has {expected}; give the same seeds everywhere, in the same order"
                )
    return counts


def _draw_items(
    benchmark: Benchmark, resamples: int, generator: np.random.Generator
) -> tuple[Float[np.ndarray, " resamples"], dict[str, Float[np.ndarray, "resamples seeds"]]]:
    """Mean of the base, and difference of every seed of every entrant, in every resample of the items."""
    weights, items = benchmark.weights, benchmark.base.size
    rows = [weights, weights * benchmark.base]
    # A row that occurs twice is summed once, so that equal entrants have equal draws to the last bit.
    places: dict[bytes, int] = {}
    columns: dict[str, list[int]] = {}
    for entrant, scores in benchmark.entrants.items():
        columns[entrant] = []
        for row in weights * (scores - benchmark.base):
            place = places.setdefault(row.tobytes(), len(rows))
            if place == len(rows):
                rows.append(row)
            columns[entrant].append(place)
    table = np.stack(rows, axis=1)
    sums = np.empty((resamples, len(rows)))
    at_once = max(1, CELLS_AT_ONCE // items)
    for start in range(0, resamples, at_once):
        stop = min(start + at_once, resamples)
        sums[start:stop] = _item_counts(generator, stop - start, items) @ table
    means = sums[:, 1:] / sums[:, :1]
    return means[:, 0].copy(), {entrant: means[:, np.array(at) - 1] for entrant, at in columns.items()}


def _item_counts(generator: np.random.Generator, resamples: int, items: int) -> Float[np.ndarray, "resamples items"]:
    """How often each item is drawn when as many are drawn as there are."""
    drawn = generator.integers(items, size=(resamples, items))
    drawn += items * np.arange(resamples)[:, np.newaxis]
    return np.bincount(drawn.ravel(), minlength=resamples * items).reshape(resamples, items).astype(np.float64)


def _draw_seeds(
    by_seed: Float[np.ndarray, "resamples seeds"], generator: np.random.Generator
) -> Float[np.ndarray, " resamples"]:
    """Mean over the seeds drawn, its deviation from the mean over all seeds scaled to be unbiased in variance."""
    resamples, seeds = by_seed.shape
    centre = seed_mean(by_seed)
    if seeds == 1:
        return centre
    drawn_frac = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    deviation = (drawn_frac * (by_seed - centre[:, np.newaxis])).sum(axis=1)
    result: Float[np.ndarray, " resamples"] = centre + np.sqrt(seeds / (seeds - 1)) * deviation
    return result
