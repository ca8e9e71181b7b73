"""Geometry of an update in the weights: the public tools' algorithm written out plainly, against forms of updates.

``python -m benchmarks.geometry --size 4096`` for weights of another size, where a decomposition takes a minute.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from benchmarks import geometry_activations
from benchmarks.harness import Timed, conditions, table
from holdfast.algebra.alignment import alignment
from holdfast.algebra.delta import Delta, Dense
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.profiles import profiles_of
from holdfast.algebra.rank import singular_values, stable_rank, top_singular_values
from holdfast.algebra.rotation import Rotation
from holdfast.algebra.spectrum import Spectrum, spectrum_of
from holdfast.algebra.tuned_spectrum import tuned_spectrum

SIZE, RANK, BLOCK = 1024, 8, 32
REPEATS = 3
BRIEF_S = 5.0
"""What takes less is measured twice under two names, as a measure of noise."""

Profile = tuple[Tensor, Tensor, float]
Found = TypeVar("Found")


def plain_profile(weight: Tensor, tuned: Tensor) -> Profile:
    """Retention and adaptation profile and stable rank from two dense models: two decompositions, three products."""
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    retention = ((left.T @ tuned @ right.T).diagonal() - values).abs()
    change = tuned - weight
    adaptation = torch.linalg.vector_norm(change @ right.T, dim=0)
    strongest = torch.linalg.svd(change, full_matrices=False)[1][0]
    # Of so many entries a norm in float32 is not right, here or there.
    return retention, adaptation, float(change.double().norm() ** 2 / strongest**2)


def our_profile(base: Spectrum, change: Delta) -> Profile:
    """The same from the form of the change, with the spectrum of the base at hand."""
    found = profiles_of(change, base)
    dense = isinstance(change, Dense)
    values = top_singular_values(change, 5) if dense else singular_values(change)
    return found.retention, found.adaptation, stable_rank(values, change.norm())


def plain_alignment(weight: Tensor, tuned: Tensor) -> Tensor:
    """Singular vector alignment by two decompositions."""
    before, after = (torch.linalg.svd(matrix, full_matrices=False)[2] for matrix in (weight, tuned))
    cosines: Tensor = (before * after).sum(1).abs()
    return cosines


def our_alignment(weight: Tensor, base: Spectrum, change: Delta) -> Tensor:
    """The same without a second one."""
    return alignment(base, tuned_spectrum(weight, change, base))


def run(size: int = SIZE, repeats: int = REPEATS) -> str:
    """Assert equal values, time, and return the tables."""
    return "\n".join([*weight_tables(size, repeats), geometry_activations.run()])


def weight_tables(size: int, repeats: int) -> Iterator[str]:
    """Profiles of a low-rank and of a full-rank update, and alignment after a rotation, of a square weight."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    weight = torch.randn(size, size) / size**0.5
    base = spectrum_of(weight)
    low_rank = LowRank(0.02 * torch.randn(size, RANK), torch.randn(RANK, size) / size**0.5)
    full = Dense(0.01 * torch.randn(size, size) / size**0.5 + low_rank.dense())
    generator = 0.05 * torch.randn(size // BLOCK, BLOCK, BLOCK)
    turn = Rotation(weight, generator - generator.mT)
    profile = f"Profiles and stable rank of an update, {{}}, {size} x {size}, spectrum of the base cached"
    yield _profiles(weight, base, low_rank, profile.format(f"low rank, r {RANK}"), repeats)
    yield _profiles(weight, base, full, profile.format("full rank"), repeats)
    yield _alignments(weight, base, turn, repeats)


def _profiles(weight: Tensor, base: Spectrum, change: Delta, title: str, repeats: int) -> str:
    tuned = weight + change.dense()

    alone = torch.ones_like(base.values, dtype=torch.bool)
    for run in base.ties():
        alone[run.start : run.stop] = False

    def equal(slow: Profile, fast: Profile) -> None:
        # What the plain way says of tied directions is chance, and it takes small numbers from the difference of large.
        for one, other in zip(slow[:2], fast[:2], strict=True):
            torch.testing.assert_close(other[alone], one[alone], rtol=1e-3, atol=2e-5)
        assert math.isclose(slow[2], fast[2], rel_tol=1e-3)

    ways = partial(plain_profile, weight, tuned), partial(our_profile, base, change)
    return _table(title, ("two decompositions", "from its form"), *ways, equal, repeats)


def _alignments(weight: Tensor, base: Spectrum, change: Rotation, repeats: int) -> str:
    tuned = weight + change.dense()

    def equal(slow: Tensor, fast: Tensor) -> None:
        # Directions of nearly equal values are chance in either decomposition: the well separated ones are compared.
        torch.testing.assert_close(fast[:8], slow[:8], rtol=1e-2, atol=1e-2)

    title = f"Alignment of singular vectors after a rotation in blocks of {BLOCK}, {len(weight)} x {len(weight)}"
    ways = partial(plain_alignment, weight, tuned), partial(our_alignment, weight, base, change)
    return _table(title, ("two decompositions", "turned directions"), *ways, equal, repeats)


def _table(
    title: str,
    names: tuple[str, str],
    slow: Callable[[], Found],
    fast: Callable[[], Found],
    equal: Callable[[Found, Found], None],
    repeats: int,
) -> str:
    """Both ways in turn, after the first found the same; a long plain way is not run to warm up, nor once more."""
    plain, ours = names
    again = f"{plain}, again"
    fast()
    times: dict[str, list[float]] = {plain: [], again: [], ours: []}
    for turn in range(repeats):
        wanted, found = _timed(slow, times[plain]), _timed(fast, times[ours])
        if not turn:
            equal(wanted, found)
        if times[plain][0] < BRIEF_S:
            _timed(slow, times[again])
    kept = {name: Timed(statistics.median(t), min(t), max(t)) for name, t in times.items() if t}
    return table(f"{title} (medians of {repeats})", kept, plain)


def _timed(way: Callable[[], Found], times: list[float]) -> Found:
    started = time.process_time()
    found = way()
    times.append(time.process_time() - started)
    return found


def main() -> None:
    """Print the tables for weights of a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=SIZE, help="rows and columns of the weight")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    print(conditions() + "\n")
    for found in weight_tables(asked.size, asked.repeats):
        print(found, flush=True)


if __name__ == "__main__":
    main()
