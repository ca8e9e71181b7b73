"""Scores of a model under noise, asked for once and kept: the seam between statistics and models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from jaxtyping import Float, Int

from holdfast.metrics.basin.distance import check_sigma

ALONE: Final = 0
"""The seed under which the untouched model is asked; others ask it again."""


class Measure(Protocol):
    """Asks a model that was moved."""

    def __call__(self, sigma: float, direction_seed: int, items: Sequence[int]) -> Sequence[float] | np.ndarray:
        """Scores in [0, 1] of these items, in their order, at ``sigma`` along the direction of that seed.

        The same seed means the same direction at every distance and for every model. At sigma 0 there is no noise, and
        the seed merely tells one asking from another.
        """
        ...


class Evaluations:
    """All scores of one ability of one model, each asked for at most once.

    Args:
        measure: Asks the model.
        items: How many items the ability has.

    Attributes:
        items: How many items the ability has.
        scored_items: How many answers were asked for so far.

    Raises:
        ValueError: If there are no items.
    """

    def __init__(self, measure: Measure, items: int) -> None:
        if items < 1:
            raise ValueError("a basin needs items to be asked, found none: give a suite with at least one")
        self.items, self.scored_items = items, 0
        self._measure = measure
        self._kept: dict[tuple[float, int], Float[np.ndarray, " items"]] = {}

    def scores(self, sigma: float, seed: int, items: Sequence[int] | None = None) -> Float[np.ndarray, " asked"]:
        """Scores at ``sigma`` along the direction of that seed, of all items or of these.

        Raises:
            ValueError: If sigma is negative, or the model's answer is not one score in [0, 1] an item.
        """
        if sigma != 0:
            check_sigma(sigma)
        asked = np.arange(self.items) if items is None else np.asarray(items, dtype=np.int64)
        kept = self._kept.setdefault((sigma, seed), np.full(self.items, np.nan))
        fresh = np.unique(asked[np.isnan(kept[asked])])
        if fresh.size:
            kept[fresh] = self._ask(sigma, seed, fresh)
        return kept[asked]

    def base(self, items: Sequence[int] | None = None) -> Float[np.ndarray, " asked"]:
        """Scores of the model as it is."""
        return self.scores(0.0, ALONE, items)

    def drop(self, sigma: float, seed: int, items: Sequence[int] | None = None) -> float:
        """What is lost on average over items, in pairs with the model as it is; negative for a gain."""
        return float((self.base(items) - self.scores(sigma, seed, items)).mean())

    def self_noise(self) -> float:
        """Share of the items that the untouched model is graded otherwise on when it is asked again."""
        return float((self.base() != self.scores(0.0, ALONE + 1)).mean())

    def _ask(self, sigma: float, seed: int, items: Int[np.ndarray, " asked"]) -> Float[np.ndarray, " asked"]:
        found = np.asarray(self._measure(sigma, seed, items.tolist()), dtype=np.float64)
        where = f"at sigma {sigma:g}, direction {seed}"
        if found.shape != items.shape:
            raise ValueError(f"{where}: asked for {items.size} items, found scores of shape {found.shape}")
        if not ((found >= 0) & (found <= 1)).all():
            raise ValueError(
                f"{where}: a score lies outside of [0, 1], found {found.min()} to {found.max()}; grade answers, or "
                f"bring likelihoods to that range and call them smooth"
            )
        self.scored_items += items.size
        return found


def panel(seed: int, items: int, asked: int) -> Int[np.ndarray, " asked"]:
    """Which items are asked along the direction of a seed: drawn at random, the same at every distance and model.

    Drawn anew for every direction, so that directions remain independent, and without replacement within one.

    Args:
        seed: Of the direction.
        items: How many there are.
        asked: How many of them; all, if there are no more.
    """
    if asked >= items:
        return np.arange(items)
    return np.sort(np.random.default_rng([seed, items, asked]).permutation(items)[:asked])
