"""Whether the relations between representations survive an update, module by module, with nulls and intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from scipy import stats
from torch import Tensor

from holdfast.algebra.moments import Moments, pooled
from holdfast.algebra.procrustes import held_out_residual
from holdfast.algebra.similarity import Similarity, gram_cosine_distance, similarity
from holdfast.core.errors import NotMeasurable
from holdfast.core.record import Record
from holdfast.probes.weight_space import noted

FEWEST_GROUPS = 4
"""Groups of prompts below which an interval would mean nothing."""


@dataclass(frozen=True)
class ActivationGeometry:
    """Every measure of similarity between what a module of the base says and what the tuned one says.

    Attributes:
        subspaces: Dimensions of the principal subspaces that are compared.
        intervals: Whether intervals are worked out: by leaving out one group of prompts at a time, since a bootstrap
            counts groups twice, which these measures take for structure.
    """

    subspaces: tuple[int, ...] = (8, 16, 32, 64)
    intervals: bool = True

    def measure(
        self, subject: str, site: str, role: str, groups: Mapping[int, Moments], rows: tuple[Tensor, Tensor] | None
    ) -> Iterator[Record]:
        """All measures at one module on one set of prompts.

        Args:
            subject: What is compared with the base.
            site: Name of the module.
            role: The set of prompts.
            groups: Moments of the paired rows, group by group of prompts.
            rows: A sample of the paired rows, for the distance between all pairs.

        Yields:
            Records, with 95 % intervals over groups of prompts where there are four or more.
        """
        parts = list(groups.values())
        whole = similarity(pooled(parts), self.subspaces)
        yield Record(subject=subject, quantity=f"rows_per_dimension/{role}", site=site, value=whole.rows / whole.width)
        left_out = [similarity(pooled(rest), self.subspaces) for rest in self._rests(parts)]
        for name in (*whole.values, *whole.reasons):
            record = Record(
                subject=subject,
                quantity=f"{name}/{role}",
                site=site,
                value=whole.values.get(name),
                reason=whole.reasons.get(name),
                unit="rad" if name.endswith("_rad") else "",
            )
            yield _with_spread(record, name, left_out)
        yield noted(subject, f"held_out_procrustes_residual/{role}", site, lambda: _held_out(parts))
        if rows is not None:
            yield noted(
                subject, f"gram_cosine_distance/{role}", site, lambda: gram_cosine_distance(*rows, site=site)
            )  # fmt: skip

    def _rests(self, parts: Sequence[Moments]) -> Iterator[list[Moments]]:
        """All parts but one, for every one of them."""
        if self.intervals and len(parts) >= FEWEST_GROUPS:
            for index in range(len(parts)):
                yield [part for other, part in enumerate(parts) if other != index]


def _with_spread(record: Record, name: str, left_out: Sequence[Similarity]) -> Record:
    """The record with the 95 % interval of the jackknife (Tukey), by Student's t."""
    found = [each.values[name] for each in left_out if name in each.values]
    if record.value is None or not found or len(found) < len(left_out):
        return record
    groups = len(found)
    error = ((groups - 1) * torch.tensor(found, dtype=torch.float64).var(correction=0)).sqrt()
    reach = float(error) * float(stats.t.ppf(0.975, groups - 1))
    return record.model_copy(update={"spread": (record.value - reach, record.value + reach)})


def _held_out(parts: Sequence[Moments]) -> float:
    if len(parts) < 2:
        raise NotMeasurable("held-out residual: a rotation is fitted on one half of the prompts, and there is only one")
    return held_out_residual(pooled(parts[::2]), pooled(parts[1::2]))
