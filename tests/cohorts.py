"""Cohorts of checkpoints whose truth is known: the published family means, and families that are simulated."""

from __future__ import annotations

from typing import Final

import numpy as np

FAMILIES: Final = ("Full", "LoRA", "OFT", "PiSSA", "MiLoRA")

FORGOTTEN: Final = np.array([17.31, 15.97, 7.81, 34.56, 16.35])
"""Forgetting of five families in the geometry table of PEFT-Arena (arXiv 2605.28819v1)."""

FORGOTTEN_BESIDE_DRIFT: Final = np.array([17.31, 15.70, 11.20, 34.56, 16.35])
"""The same in its drift table, where two families were scored on other benchmarks."""

PUBLISHED: Final = {
    "procrustes": np.array([0.1640, 0.1808, 0.1279, 0.4376, 0.1635]),
    "gram": np.array([0.2500, 0.2430, 0.1906, 0.8655, 0.2476]),
    "cka": np.array([0.8654, 0.8564, 0.9340, 0.4402, 0.8651]),
}
DRIFT: Final = np.array([1.16e-3, 1.21e-3, 7.82e-3, 8.94e-2, 7.17e-4])


def labels(sizes: tuple[int, ...]) -> list[str]:
    """A family name for each checkpoint."""
    return [f"family {number:02}" for number, size in enumerate(sizes) for _ in range(size)]


def simulate(
    rng: np.random.Generator, sizes: tuple[int, ...], between: float = 0.0, within: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """A measure and an outcome of variance 1, half of it the families' and half the checkpoints'.

    Families correlate by ``between`` and checkpoints within them by ``within``, all together by the mean of both.
    """
    families = np.repeat(np.arange(len(sizes)), sizes)
    shared = _pair(rng, len(sizes), between)[:, families]
    measure, outcome = np.sqrt(0.5) * (shared + _pair(rng, families.size, within))
    return measure, outcome


def _pair(rng: np.random.Generator, count: int, correlation: float) -> np.ndarray:
    one, other = rng.normal(size=(2, count))
    return np.stack([one, correlation * one + np.sqrt(1 - correlation**2) * other])
