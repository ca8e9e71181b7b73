"""What a fine-tuned model gained on the new task and lost on the old ones, against the untouched base, item by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from holdfast.core.errors import BadData, NotMeasurable, UnknownName

Role = Literal["learn", "keep"]

BASE: Final = "base"
"""Name of the untouched base, which takes part in every comparison."""

GAIN: Final = "gain"
FORGETTING: Final = "forgetting"


class UnusableScores(BadData, ValueError):
    """Scores that cannot be compared; says which, what was found and what was expected."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """The scores of the base and of every entrant on the same items; higher is better.

    Attributes:
        name: What the items come from.
        role: ``learn`` for the new task, ``keep`` for abilities that ought to stay.
        base: One score an item.
        entrants: Entrant -> one score an item for each training seed. Row s of an entrant is the same trained model on
            every benchmark.
        weights: Weight of each item in the mean: 1 for a graded answer, its tokens for a text.
    """

    name: str
    role: Role
    base: Float[np.ndarray, " items"]
    entrants: Mapping[str, Float[np.ndarray, "seeds items"]]
    weights: Float[np.ndarray, " items"]

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", _frozen(self.base))
        object.__setattr__(self, "weights", _frozen(self.weights))
        entrants = {entrant: _frozen(scores) for entrant, scores in self.entrants.items()}
        object.__setattr__(self, "entrants", MappingProxyType(entrants))
        if faults := _faults(self):
            raise UnusableScores(f"benchmark '{self.name}': {'; '.join(faults)}")

    def scores(self, entrant: str) -> Float[np.ndarray, "seeds items"]:
        """Scores of an entrant; the base answers to its name as an entrant with one seed.

        Args:
            entrant: Whose.

        Returns:
            One row a seed.

        Raises:
            NotMeasurable: If the entrant has no scores here.
        """
        if entrant == BASE:
            return self.base[np.newaxis]
        if entrant not in self.entrants:
            raise NotMeasurable(f"undefined: {self.name} missing for {entrant}")
        return self.entrants[entrant]

    def mean_by_seed(self, entrant: str) -> Float[np.ndarray, " seeds"]:
        """Weighted mean over the items of entrant minus base, for each seed."""
        shift = self.scores(entrant) - self.base
        means: Float[np.ndarray, " seeds"] = (shift * self.weights).sum(axis=1) / self.weights.sum()
        return means


def difference(benchmark: Benchmark, entrant: str) -> float:
    """How far an entrant lies above the base on one benchmark: weighted mean over items, then mean over seeds."""
    return float(seed_mean(benchmark.mean_by_seed(entrant)))


def gain(benchmarks: Sequence[Benchmark], entrant: str) -> float:
    """Mean difference over the benchmarks to be learnt, each of equal weight; positive is better."""
    return estimate(benchmarks, entrant, GAIN)


def forgetting(benchmarks: Sequence[Benchmark], entrant: str) -> float:
    """Minus the mean difference over the benchmarks to be kept, each of equal weight; positive is worse."""
    return estimate(benchmarks, entrant, FORGETTING)


def estimate(benchmarks: Sequence[Benchmark], entrant: str, quantity: str) -> float:
    """Gain, forgetting, or the difference on the benchmark of that name."""
    parts = components(benchmarks, entrant, quantity)
    return sum(share * difference(benchmark, entrant) for benchmark, share in parts)


def score(benchmarks: Sequence[Benchmark], entrant: str, role: Role) -> float:
    """Mean score over the benchmarks of one role, each of equal weight: the place of an entrant on that axis."""
    parts = components(benchmarks, entrant, GAIN if role == "learn" else FORGETTING)
    # The shift is added to the base so that equal scores give equal points to the last bit: frontiers rely on ties.
    at_base = sum(abs(share) * _base_mean(benchmark) for benchmark, share in parts)
    return at_base + sum(abs(share) * difference(benchmark, entrant) for benchmark, share in parts)


def retention_frac(benchmark: Benchmark, entrant: str, chance_frac: float) -> float:
    """Share of the base's skill above chance that an entrant still has; 1 keeps all, above 1 adds, below 0 is worse.

    Args:
        benchmark: Scores in [0, 1].
        entrant: Who is compared with the base.
        chance_frac: Score of a guess that knows nothing.

    Returns:
        (entrant - chance) / (base - chance).

    Raises:
        NotMeasurable: If the base has no skill above chance, so that nothing can be retained.
    """
    skill = _base_mean(benchmark) - chance_frac
    if skill <= 1e-12:
        raise NotMeasurable(
            f"retention on {benchmark.name} is undefined: "
            f"the base scores {_base_mean(benchmark):.4f}, not above chance ({chance_frac:.4f})"
        )
    return 1.0 + difference(benchmark, entrant) / skill


def components(benchmarks: Sequence[Benchmark], entrant: str, quantity: str) -> list[tuple[Benchmark, float]]:
    """The benchmarks that make up a quantity, and the factor of each one's difference in it.

    Args:
        benchmarks: Every benchmark of the comparison. One that an entrant lacks is never averaged away.
        entrant: Who is measured.
        quantity: ``gain``, ``forgetting``, or the name of a benchmark.

    Returns:
        Pairs of benchmark and factor.

    Raises:
        UnknownName: If nothing answers to the quantity or the entrant.
        NotMeasurable: If no benchmark has the role in question, or the entrant lacks one that has.
    """
    named = by_name(benchmarks)
    if quantity in (GAIN, FORGETTING):
        role, sign = ("learn", 1.0) if quantity == GAIN else ("keep", -1.0)
        used = [benchmark for benchmark in named.values() if benchmark.role == role]
        if not used:
            raise NotMeasurable(f"undefined: {quantity} needs a benchmark with the role '{role}', and there is none")
    elif quantity in named:
        used, sign = [named[quantity]], 1.0
    else:
        raise UnknownName("quantity", quantity, [GAIN, FORGETTING, *named])
    if entrant not in (known := entrants_of(benchmarks)):
        raise UnknownName("entrant", entrant, known)
    missing = [benchmark.name for benchmark in used if entrant != BASE and entrant not in benchmark.entrants]
    if missing:
        raise NotMeasurable(f"undefined: {', '.join(missing)} missing for {entrant}")
    return [(benchmark, sign / len(used)) for benchmark in used]


def item_shares(
    benchmarks: Sequence[Benchmark], one: str, other: str, quantity: str
) -> Float[np.ndarray, " items_of_all_components"]:
    """What each item adds to the difference of two entrants, averaged over seeds; the sum is that difference."""
    shares = []
    for (benchmark, factor), _ in zip(
        components(benchmarks, one, quantity), components(benchmarks, other, quantity), strict=True
    ):
        shift = benchmark.scores(one).mean(axis=0) - benchmark.scores(other).mean(axis=0)
        shares.append(factor * shift * benchmark.weights / benchmark.weights.sum())
    return np.concatenate(shares)


def entrants_of(benchmarks: Sequence[Benchmark]) -> tuple[str, ...]:
    """The base and everyone who has scores on at least one benchmark, in the order of first appearance."""
    return tuple(dict.fromkeys([BASE, *(entrant for benchmark in benchmarks for entrant in benchmark.entrants)]))


def by_name(benchmarks: Sequence[Benchmark]) -> dict[str, Benchmark]:
    """Benchmarks under their names.

    Args:
        benchmarks: The benchmarks.

    Returns:
        Name -> benchmark, in the same order.

    Raises:
        UnusableScores: If two have the same name.
    """
    named = {benchmark.name: benchmark for benchmark in benchmarks}
    if len(named) != len(benchmarks):
        raise UnusableScores(f"benchmarks need different names, found {', '.join(b.name for b in benchmarks)}")
    return named


def seed_mean(by_seed: Float[np.ndarray, "*resamples seeds"]) -> Float[np.ndarray, "*resamples"]:
    """Mean over the last axis that is exact when all seeds agree, which a plain sum need not be."""
    first = by_seed[..., :1]
    mean: Float[np.ndarray, "*resamples"] = first[..., 0] + (by_seed - first).mean(axis=-1)
    return mean


def _base_mean(benchmark: Benchmark) -> float:
    return float((benchmark.base * benchmark.weights).sum() / benchmark.weights.sum())


def _frozen(values: ArrayLike) -> np.ndarray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def _faults(benchmark: Benchmark) -> list[str]:
    """Everything that keeps a benchmark from being used."""
    faults = []
    if benchmark.role not in get_args(Role):
        faults.append(f"the role is 'learn' or 'keep', found '{benchmark.role}'")
    if benchmark.name in (GAIN, FORGETTING):
        faults.append("the name is that of a quantity; give another")
    if benchmark.base.ndim != 1 or benchmark.base.size == 0:
        faults.append(f"base needs one score an item and at least one item, found shape {benchmark.base.shape}")
        return faults
    items = benchmark.base.size
    if benchmark.weights.shape != (items,):
        faults.append(f"weights need shape ({items},), found {benchmark.weights.shape}")
    elif not (np.isfinite(benchmark.weights).all() and (benchmark.weights > 0).all()):
        faults.append("weights must be finite and above 0")
    if not np.isfinite(benchmark.base).all():
        faults.append("base has scores that are not finite")
    for entrant, scores in benchmark.entrants.items():
        if entrant == BASE:
            faults.append(f"'{BASE}' is the untouched base and cannot be the name of an entrant")
        if scores.ndim != 2 or scores.shape[0] == 0 or scores.shape[1] != items:
            faults.append(f"'{entrant}' needs shape (seeds, {items}), found {scores.shape}")
        elif not np.isfinite(scores).all():
            faults.append(f"'{entrant}' has scores that are not finite")
    return faults
