"""What a sequence did to abilities that no stage trains: general ability, following instructions, safety."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from jaxtyping import Float

from holdfast.core.errors import NotMeasurable
from holdfast.core.scores import Unit
from holdfast.metrics.continual.matrix import Rows, check_scores, fixed, listed, numbers, scaled
from holdfast.metrics.tradeoff import UnusableScores

Kind = Literal["general", "instruction", "safety"]
KINDS: tuple[Kind, ...] = ("general", "instruction", "safety")


@dataclass(frozen=True, eq=False)
class Abilities:
    """Scores G_m of M benchmarks of one kind, on the untouched base and after each stage; higher is better.

    Attributes:
        scores: A row a stage, the first of the untouched base; a column a benchmark; NaN where missing.
        names: What the benchmarks are called.
        kind: What they are benchmarks of.
        unit: ``frac`` for scores within 0 and 1, ``nats/token`` for the log-likelihood of texts. Benchmarks of
            different units have no common mean.
    """

    scores: Float[np.ndarray, "stages benchmarks"]
    names: tuple[str, ...]
    kind: Kind = "general"
    unit: Unit = "frac"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", fixed(self.scores))
        if self.scores.ndim != 2 or self.scores.shape != (len(self.scores), len(self.names)) or not self.scores.size:
            raise UnusableScores(
                f"{self.kind} abilities need a row a stage and a column for each of {len(self.names)} benchmarks, "
                f"found shape {self.scores.shape}"
            )
        if self.unit == "frac":
            check_scores(self.scores, lambda stage, number: f"'{self.names[number - 1]}' after stage {stage}")
        elif np.isinf(self.scores).any():
            raise UnusableScores(f"{self.kind} abilities have scores that are infinite")

    @classmethod
    def of(
        cls,
        rows: Rows,
        *,
        names: Sequence[str] | None = None,
        kind: Kind = "general",
        unit: Unit = "frac",
        percent: bool = False,
    ) -> Self:
        """The same from rows of numbers.

        Args:
            rows: A row a stage, the first of the untouched base; ``None`` or NaN where missing.
            names: Of the benchmarks; by default ``benchmark 1`` and so on.
            kind: What they are benchmarks of.
            unit: Of the scores.
            percent: Whether scores are given from 0 to 100.

        Returns:
            The abilities.

        Raises:
            UnusableScores: If the shape is another or a score lies outside its range.
        """
        scores = numbers(rows)
        if scores.ndim != 2:
            raise UnusableScores(f"{kind} abilities need a row a stage and a column a benchmark, found {scores.shape}")
        called = tuple(names) if names is not None else tuple(f"benchmark {m + 1}" for m in range(scores.shape[1]))
        return cls(scaled(scores, percent), called, kind, unit)


def ability_delta(abilities: Abilities, stage: int | None = None) -> float:
    """How far benchmarks lie above the untouched base after a stage: 1/M sum_m (G_m[t] - G_m[0]).

    Args:
        abilities: Scores of the benchmarks, each of equal weight.
        stage: Which; by default the last.

    Returns:
        The mean difference; negative where abilities were lost.

    Raises:
        NotMeasurable: If a score is missing; says which.
        ValueError: If there is no such stage.
    """
    last = len(abilities.scores) - 1
    at = last if stage is None else stage
    if not 0 <= at <= last:
        raise ValueError(f"stages run from 0 to {last}, found {at}")
    absent = [
        f"'{name}' {'on the untouched base' if t == 0 else f'after stage {t}'}"
        for t in sorted({0, at})
        for name, score in zip(abilities.names, abilities.scores[t], strict=True)
        if np.isnan(score)
    ]
    if absent:
        raise NotMeasurable(f"undefined: {abilities.kind}_delta needs what was not measured: {listed(absent)}")
    return float((abilities.scores[at] - abilities.scores[0]).mean())
