"""Scores of abilities along a way, as the statistics ask for them: each asked once, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from transformers import PreTrainedModel

from holdfast.core.keys import key_of
from holdfast.measure.basin.ability import ROWS, Ability
from holdfast.measure.basin.ways import Walk
from holdfast.metrics.basin.evaluations import ALONE, Evaluations
from holdfast.metrics.basin.questions import ITEMS_A_DIRECTION
from holdfast.store.evaluations import ScoreLog

Bring = Callable[[float, int], PreTrainedModel]
Ask = Callable[[PreTrainedModel, float, int, Sequence[int]], Sequence[float]]
"""Scores of some items by a model that was brought to a distance along the direction of a seed."""

CURVE_SEEDS: Final = 0
WIDTH_SEEDS: Final = 100_000_000
CERTIFICATE_SEEDS: Final = 500_000_000
MATCHED_SEEDS: Final = 700_000_000
"""Where the directions of each purpose begin: none is looked at for one and then used for another."""


@dataclass(frozen=True)
class Notebook:
    """All scores around one model.

    Attributes:
        center: Name of the model's weights.
        folder: Where scores are kept; in memory without one.
    """

    center: str
    folder: Path | None = None
    _logs: dict[str, ScoreLog] = field(default_factory=dict, init=False, repr=False, compare=False)

    def along(self, ability: Ability, walk: Walk) -> Evaluations:
        """Scores of an ability along a way.

        The untouched model is asked again in batches as small as a search of widths makes them: how far that alone
        changes answers is part of its own noise.
        """

        def ask(model: PreTrainedModel, sigma: float, seed: int, items: Sequence[int]) -> Sequence[float]:
            return ability.ask(model, items, ROWS if sigma or seed == ALONE else ITEMS_A_DIRECTION)

        return self.evaluations(ability, walk.way.key, "base", walk.to, ask)

    def evaluations(self, ability: Ability, way: str, base: str, bring: Bring, ask: Ask) -> Evaluations:
        """Scores by any means.

        Args:
            ability: Whose items.
            way: Key of the directions.
            base: Key of how the untouched model is asked.
            bring: Brings the model somewhere; it is not called for what is known.
            ask: Asks it there.
        """
        logs = {moved: self._log(ability, key) for moved, key in ((True, way), (False, base))}

        def measure(sigma: float, direction_seed: int, items: Sequence[int]) -> Sequence[float]:
            log = logs[sigma > 0]
            missing = [item for item in items if item not in log.known(sigma, direction_seed)]
            if missing:
                moved = bring(sigma, direction_seed)
                log.note(sigma, direction_seed, missing, ask(moved, sigma, direction_seed, missing))
            known = log.known(sigma, direction_seed)
            return [known[item] for item in items]

        return Evaluations(measure, ability.items)

    def _log(self, ability: Ability, what: str) -> ScoreLog:
        """The one log of what was asked there: the untouched model is asked once for all ways."""
        key = key_of({"center": self.center, "ability": ability.key, "what": what})
        if key not in self._logs:
            self._logs[key] = ScoreLog(None if self.folder is None else self.folder / f"{key}.jsonl")
        return self._logs[key]
