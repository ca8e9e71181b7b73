"""A probe from beginning to end: the task is tried out, what it moved is measured, and everything is put back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from holdfast.algebra.delta import exact
from holdfast.algebra.sketch import count_sketch
from holdfast.core.errors import HoldfastError
from holdfast.methods.probing.identity import weights_identity
from holdfast.methods.probing.ledger import Ledger
from holdfast.methods.probing.options import SKETCH_WIDTH, ProbeOptions
from holdfast.methods.probing.scoring import Scored, Scores, Strategy, dissimilarity, importance, product
from holdfast.methods.probing.signals import fisher, moved
from holdfast.methods.probing.stage import Stage
from holdfast.methods.probing.units import eligible_tensors
from holdfast.methods.probing.warm_start import Effort
from holdfast.weights.material import Batch


@dataclass(frozen=True)
class Finding:
    """What a probe has found.

    Attributes:
        scored: Scores of all eligible units.
        strategy: What they were ranked by: in the first stage of a sequence always ``l2_fisher``.
        zero_frac: Share of each tensor's entries that have not moved.
        sketches: How each tensor was moved, where a strategy looks at that.
        warm: The eligible tensors as the probe has left them, where they are to be kept.
        effort: What it took.
        start_identity: Name of the weights that training is to begin with.
        probe_identity: Name of the weights that the probe began with.
    """

    scored: Scored
    strategy: Strategy
    zero_frac: Mapping[str, float]
    sketches: Mapping[str, Tensor]
    warm: Mapping[str, Tensor]
    effort: Effort
    start_identity: str
    probe_identity: str


def find(stage: Stage, options: ProbeOptions, ledger: Ledger) -> Finding:
    """Probe a task; all tensors are afterwards bit for bit as they were, also after an exception.

    Memory while it lasts: gradients and AdamW's two moments of the whole model, and where the probe begins at the base
    of a sequence, one more copy of the weights.

    Raises:
        BadData: If there is nothing to be learned.
        TrainingDiverged: If the probe diverges.
        HoldfastError: If it moves nothing.
    """
    started = time.perf_counter()
    tensors = eligible_tensors(stage.model, options.eligible, options.name)
    batches = stage.batches()
    origin = stage.origin(options.probe_from)
    strategy = options.strategy if ledger.cores else "l2_fisher"
    start_identity = probe_identity = weights_identity(stage.model)
    with rewound(stage.model, stage.start):
        if origin is not stage.start:
            load(stage.model, origin)
            probe_identity = weights_identity(stage.model)
        effort = options.warm_start().train(stage.model, stage.task, batches)
        lengths, zero_frac, sketches = _moved(tensors, origin, options)
        if not any(bool(each.any()) for each in lengths.values()):
            raise HoldfastError(
                f"{options.name}: none of {len(tensors)} eligible tensors has moved in {effort.steps} steps of the "
                f"probe at rate {options.probe_learning_rate:g}: is anything learned from them? Give a higher "
                "probe_learning_rate, or eligible='all'"
            )
        scored = _scored(stage.model, tensors, lengths, sketches, batches, options, strategy, ledger)
        warm = {n: t.detach().to("cpu", copy=True) for n, t in tensors.items()} if options.keep_probe else {}
    effort = replace(effort, seconds=time.perf_counter() - started)
    return Finding(scored, strategy, zero_frac, sketches, warm, effort, start_identity, probe_identity)


@contextmanager
def rewound(model: nn.Module, start: Mapping[str, Tensor]) -> Iterator[None]:
    """Whatever is done to the parameters of a model inside the block is undone after it, bit for bit.

    Args:
        model: The model.
        start: Its parameters as they are now, in this or a lower precision that holds them exactly.
    """
    try:
        yield
    finally:
        load(model, start)
        for tensor in model.parameters():
            tensor.grad = None


@torch.no_grad()
def load(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors over the parameters of a model."""
    for name, tensor in model.named_parameters():
        tensor.copy_(tensors[name])


def _moved(
    tensors: Mapping[str, nn.Parameter], origin: Mapping[str, Tensor], options: ProbeOptions
) -> tuple[Scores, dict[str, float], Scores]:
    lengths, zero_frac, sketches = {}, {}, {}
    for name, tensor in tensors.items():
        delta = exact(tensor.detach()) - exact(origin[name]).to(tensor.device)
        seen = moved(delta, options.granularity, options.l2)
        lengths[name], zero_frac[name] = seen.length.cpu(), seen.zero_frac
        if options.strategy != "l2_fisher":
            sketches[name] = count_sketch(delta, SKETCH_WIDTH, name).cpu()
    return lengths, zero_frac, sketches


def _scored(
    model: nn.Module,
    tensors: Mapping[str, nn.Parameter],
    lengths: Scores,
    sketches: Scores,
    batches: Sequence[Batch],
    options: ProbeOptions,
    strategy: Strategy,
    ledger: Ledger,
) -> Scored:
    names = (f"l2_{options.l2}", f"fisher_{options.fisher}")
    if strategy == "cosine":
        specific = dissimilarity(sketches, ledger.sketches)
        return replace(specific, signals={names[0]: lengths, **specific.signals})
    information = fisher(
        model,
        batches,
        tensors=tensors,
        sequences=options.fisher_n,
        per=options.fisher,
        granularity=options.granularity,
    )
    information = {name: each.cpu() for name, each in information.items()}
    important = importance(lengths, information, options.alpha, options.combine, names)
    if strategy == "l2_fisher":
        return important
    return product(important, dissimilarity(sketches, ledger.sketches))
