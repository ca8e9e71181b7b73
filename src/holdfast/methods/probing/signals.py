"""What a probe shows of every unit: how far the task moves it, and how much the loss hangs on it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
from torch import Tensor, nn

from holdfast.algebra.delta import exact
from holdfast.core.errors import BadData, HoldfastError
from holdfast.methods.probing.units import Granularity, mean_of_units, unit_shape
from holdfast.weights.evaluating import evaluating
from holdfast.weights.material import Batch

Length = Literal["rms", "norm"]
"""How long a change is: root mean square over its entries, or the plain norm, which grows with their number."""

Per = Literal["sequence", "batch"]
"""Whose gradients are squared: those of single sequences, or of whole batches."""


@dataclass(frozen=True)
class Moved:
    """How far one tensor has moved.

    Attributes:
        length: Of every unit, from 0 up.
        zero_frac: Share of the entries that have not moved at all.
    """

    length: Tensor
    zero_frac: float


def score_deltas(
    start: Mapping[str, Tensor],
    end: Mapping[str, Tensor],
    *,
    granularity: Granularity = "tensor",
    length: Length = "rms",
) -> dict[str, Moved]:
    """How far every tensor has moved, one tensor at a time: readers of files may be given for mappings.

    Differences are formed in float32 (float64 of float64). Where the end was rounded to half precision, most small
    changes are gone, norms above all, which ``zero_frac`` shows.

    Args:
        start: The tensors before; those that are not in ``end`` are left out.
        end: The tensors after.
        granularity: What counts as a unit.
        length: How long a change is.

    Raises:
        HoldfastError: If a tensor has other shapes, or is missing at the start.
    """
    found = {}
    for name, after in end.items():
        if name not in start or start[name].shape != after.shape:
            raise HoldfastError(f"'{name}' is not in both models with one shape: are they one model before and after?")
        found[name] = moved(exact(after.detach()) - exact(start[name].detach()).to(after.device), granularity, length)
    return found


def moved(delta: Tensor, granularity: Granularity = "tensor", length: Length = "rms") -> Moved:
    """How far one tensor has moved, from its change."""
    mean = mean_of_units(delta.square(), granularity)
    entries = delta.numel() / max(1, math.prod(unit_shape(delta, granularity)))
    return Moved((mean if length == "rms" else mean * entries).sqrt(), float((delta == 0).double().mean()))


def fisher(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    tensors: Mapping[str, nn.Parameter] | None = None,
    sequences: int = 300,
    per: Per = "sequence",
    granularity: Granularity = "tensor",
) -> dict[str, Tensor]:
    """The empirical Fisher information of every unit: the squared gradient of the loss, averaged over its entries.

    The loss is the mean cross entropy of the learned tokens, true labels, without dropout. Gradients are squared for
    each sequence, or for each batch as in the public scripts of TRACE, which is smaller by about the size of a batch.
    The mean is over those really seen; sequences of which nothing is learned are not seen.

    Args:
        model: The model; its tensors are left alone, and no gradient is left behind.
        batches: Batches as training has them: template, end of text and labels are theirs.
        tensors: The tensors to be measured; all that are trainable where not given.
        sequences: Most sequences.
        per: Whose gradients are squared.
        granularity: What counts as a unit.

    Raises:
        BadData: If nothing is learned in any sequence.
        HoldfastError: If a gradient is no number.
    """
    measured = tensors if tensors is not None else {n: t for n, t in model.named_parameters() if t.requires_grad}
    total = {
        name: torch.zeros(unit_shape(tensor, granularity), dtype=torch.float64, device=tensor.device)
        for name, tensor in measured.items()
    }
    seen = 0
    with evaluating(model):
        try:
            for batch in _learned(batches, sequences, per):
                seen += 1
                device = next(iter(measured.values())).device
                model(**{key: value.to(device) for key, value in batch.items()}).loss.backward()
                for name, tensor in measured.items():
                    if tensor.grad is not None:
                        total[name] += mean_of_units(tensor.grad.float().square(), granularity)
                model.zero_grad(set_to_none=True)
        finally:
            model.zero_grad(set_to_none=True)
    if not seen:
        raise BadData("the Fisher information needs sequences of which something is learned, and there are none")
    if odd := next((name for name, each in total.items() if not bool(torch.isfinite(each).all())), None):
        raise HoldfastError(
            f"the Fisher information of '{odd}' is no number: gradients overflow where the probe ends; give a lower "
            "probe_learning_rate, or a model in float32"
        )
    return {name: each / seen for name, each in total.items()}


def _learned(batches: Iterable[Batch], sequences: int, per: Per) -> Iterator[Batch]:
    """Single sequences or whole batches, up to so many sequences, of which something is learned."""
    if per == "sequence":
        yield from islice((row for batch in batches for row in rows_of(batch) if _learns(row)), sequences)
        return
    taken = 0
    for batch in batches:
        count = min(len(batch["input_ids"]), sequences - taken)
        if count <= 0:
            return
        taken += count
        part = {key: value[:count] for key, value in batch.items()}
        if _learns(part):
            yield part


def rows_of(batch: Batch) -> Iterator[Batch]:
    """The sequences of a batch one by one, without their padding."""
    for at in range(len(batch["input_ids"])):
        row = {key: value[at : at + 1] for key, value in batch.items()}
        if "attention_mask" in row:
            present = row["attention_mask"][0].bool()
            row = {key: value[:, present] if value.ndim > 1 else value for key, value in row.items()}
        yield row


def _learns(batch: Batch) -> bool:
    # The first token of a sequence is predicted from nothing, and is never learned.
    return bool((batch["labels"][:, 1:] != -100).any())
