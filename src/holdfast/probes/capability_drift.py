"""How strongly an update acts on what each layer reads, on one set of prompts and on another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from holdfast.algebra.delta import Delta, Dense
from holdfast.algebra.drift import Drift
from holdfast.algebra.layer_inputs import Inputs
from holdfast.core.errors import NotMeasurable
from holdfast.core.record import Record
from holdfast.probes.weight_space import noted

GENERAL, TARGET = "general", "target"
NOTHING_READ = "drift on no tokens: give it prompts"


@dataclass(frozen=True)
class CapabilityDrift:
    """Capability-conditioned drift of one layer (PEFT-Arena, arXiv 2605.28819), with intervals over prompts.

    Attributes:
        resamples: Bootstrap resamples of groups of prompts.
        seed: Of the bootstrap.
    """

    resamples: int = 2000
    seed: int = 0

    def measure(
        self,
        subject: str,
        site: str,
        weight: Tensor,
        change: Delta,
        inputs: Mapping[str, Mapping[int, Inputs]],
    ) -> Iterator[Record]:
        """Drift on every set of prompts, and the ratio of general to target where both are there.

        Args:
            subject: Whose change it is.
            site: Name of the layer.
            weight: Its weight in the base.
            change: The change of it.
            inputs: For each role, what the layer of the base reads, group by group of prompts.

        Yields:
            Records, with 95 % intervals over groups of prompts where there are two or more.
        """
        change = change.in_memory()
        energies = {role: _Energies.of(groups, change, weight) for role, groups in inputs.items()}
        for role, found in energies.items():
            if found is None:
                for name in ("absolute", "relative", "update_normalised", "alignment"):
                    yield Record(subject=subject, quantity=f"drift_{name}/{role}", site=site, reason=NOTHING_READ)
                continue
            drift = found.drift()
            draws = found.resampled(self.resamples, self.seed)
            for name, draw in (
                ("absolute", draws.moved),
                ("relative", draws.moved / draws.said),
                ("update_normalised", draws.moved / draws.read / drift.change**2),
                ("alignment", drift.width * draws.moved / draws.read / drift.change**2),
            ):
                record = noted(subject, f"drift_{name}/{role}", site, partial(getattr, drift, name))
                yield _with_spread(record, draw)
        general, target = energies.get(GENERAL), energies.get(TARGET)
        if general is not None and target is not None:
            yield from self._ratios(subject, site, general, target)

    def _ratios(self, subject: str, site: str, general: _Energies, target: _Energies) -> Iterator[Record]:
        one, other = general.drift(), target.drift()
        draws = general.resampled(self.resamples, self.seed), target.resampled(self.resamples, self.seed + 1)
        for name, over in (("relative", "said"), ("update_normalised", "read")):
            ratios = (draws[0].moved / getattr(draws[0], over)) / (draws[1].moved / getattr(draws[1], over))
            record = noted(subject, f"drift_ratio_{name}", site, partial(_ratio, one, other, name))
            yield _with_spread(record, ratios)


@dataclass(frozen=True, eq=False)
class _Energies:
    """Sums over tokens, one entry a group of prompts or a resample of them."""

    width: int
    change: float
    tokens: Tensor
    moved: Tensor
    read: Tensor
    said: Tensor

    @staticmethod
    def of(groups: Mapping[int, Inputs], change: Delta, weight: Tensor) -> _Energies | None:
        base = Dense(weight)
        parts = [inputs for inputs in groups.values() if inputs.tokens]
        if not parts:
            return None
        tokens = torch.tensor([float(part.tokens) for part in parts], dtype=torch.float64)
        means = ([p.energy(change) for p in parts], [p.size() for p in parts], [p.energy(base) for p in parts])
        sums = [torch.tensor(values, dtype=torch.float64) * tokens for values in means]
        return _Energies(parts[0].width, change.norm(), tokens, *sums)

    def drift(self) -> Drift:
        total = float(self.tokens.sum())
        moved, read, said = (float(part.sum()) / total for part in (self.moved, self.read, self.said))
        return Drift(self.width, moved, read, said, self.change)

    def resampled(self, resamples: int, seed: int) -> _Energies:
        """Means over tokens in every resample of the groups."""
        count = len(self.tokens)
        chosen = torch.randint(count, (resamples, count), generator=torch.Generator().manual_seed(seed))
        tokens = self.tokens[chosen].sum(1)
        means = [part[chosen].sum(1) / tokens for part in (self.moved, self.read, self.said)]
        return _Energies(self.width, self.change, tokens, *means)


def _ratio(general: Drift, target: Drift, name: str) -> float:
    below: float = getattr(target, name)
    if below == 0:
        raise NotMeasurable("ratio of drifts: the update does not act on the target prompts at all")
    return float(getattr(general, name)) / below


def _with_spread(record: Record, draws: Tensor) -> Record:
    """The record with its 95 % interval, where it has a value and the draws have one too."""
    finite = draws[torch.isfinite(draws)]
    if record.value is None or len(finite) < len(draws) or float(draws.max()) == float(draws.min()):
        return record
    low, high = torch.quantile(finite, torch.tensor([0.025, 0.975], dtype=draws.dtype)).tolist()
    return record.model_copy(update={"spread": (low, high)})
