"""TRACE's adaptation-aware probing: try a task out, see which tensors it needs, rewind, and train only those."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from holdfast.core.parameter_plan import ParameterPlan
from holdfast.core.record import Record
from holdfast.methods.probing.choosing import chosen
from holdfast.methods.probing.finding import find
from holdfast.methods.probing.ledger import Ledger
from holdfast.methods.probing.method import Choosing
from holdfast.methods.probing.most import most_params
from holdfast.methods.probing.options import ProbeOptions, drawn_seed
from holdfast.methods.probing.planning import planned, planned_tensors
from holdfast.methods.probing.stage import Choice, Stage
from holdfast.methods.probing.units import eligible_tensors, extent_of, unit_shape
from holdfast.weights.material import Batch, Material


@dataclass(frozen=True)
class TraceProbe(ProbeOptions, Choosing):
    """Probe a task by a short full fine-tuning, rewind, and train the tensors that it moved most; freeze the rest.

    TRACE (Han et al., KDD 2026, arXiv 2605.31025; its abstract and the public scripts are known to us, the patch that
    trains by their list is not public). The nearest prior is LoTA: calibrate, reset, train the top by absolute change.
    The score is ``alpha * L2 + (1 - alpha) * F`` of min-max scaled root mean square change and Fisher information, or
    the mean cosine with other tasks' changes. This is not the TRACE benchmark.

    Ours: embeddings, head, norms and biases are not eligible (the scripts have all: ``eligible='all'``); changes in
    float32; Fisher information per sequence, over those seen; cosines against earlier tasks only, by sketches of
    4096 numbers a tensor; owners and what becomes of them; no weight decay in the probe, gradients clipped at 1. The
    probe is extra compute, told as ``probe_steps``, ``probe_tokens`` and ``probe_s``, and is run again when a
    training is resumed, whose choice is then the saved one. Frozen weights do not freeze what the model says.

    The default rate of the probe is the published one, for models of billions; small models want a higher one. How
    many parameters are trained is known after the probe: until then, `parameters` says how many it can be at most.
    """

    name: ClassVar[str] = "trace_probe"

    def parameters(self, model: nn.Module) -> int:
        """How many parameters can be trained at most: which they are is known after the probe."""
        return most_params(eligible_tensors(model, self.eligible, self.name), self.ratio, self.budget, self.granularity)

    def choose(self, stage: Stage) -> Choice:
        """Probe the task and choose its core.

        Raises:
            RecipeError: If the budget selects nothing, or what nobody owns does not fill it.
            BadData: If there is nothing to be learned.
            TrainingDiverged: If the probe diverges.
            HoldfastError: If it moves nothing, or earlier stages chose among other tensors.
        """
        tensors = eligible_tensors(stage.model, self.eligible, self.name)
        shapes = {name: unit_shape(tensor, self.granularity) for name, tensor in tensors.items()}
        ledger = Ledger.read(stage.past, shapes)
        found = find(stage, self, ledger)
        extents = {name: extent_of(tensor, self.granularity) for name, tensor in tensors.items()}
        taken = ledger.taken() if self.overlap == "exclude" else None
        picked = chosen(found.scored.scores, extents, self.ratio, self.budget, taken, who=self.name)
        flags = {name: picked.get(name, torch.zeros(shape, dtype=torch.bool)) for name, shape in shapes.items()}
        seed = drawn_seed(self.seed)
        plan = planned(
            stage.model,
            planned_tensors(stage.model, tensors, flags, found.scored, ledger, found.zero_frac),
            task=stage.task,
            method=self.spec(),
            seed=seed,
            probe_identity=found.probe_identity,
            start_identity=found.start_identity,
            settings={
                **asdict(self),
                "seed": seed,
                "ranked_by": found.strategy,
                "probe_steps": found.effort.steps,
                "probe_tokens": found.effort.tokens,
                "delta_dtype": "float32",
                "earlier_tasks": list(ledger.cores),
            },
        )
        core = {tensor.name for tensor in plan.chosen}
        warm = {name: tensor for name, tensor in found.warm.items() if name in core}
        facts = (
            Record(subject="run", quantity="probe_steps", value=float(found.effort.steps)),
            Record(subject="run", quantity="probe_tokens", value=float(found.effort.tokens)),
            Record(subject="run", quantity="probe_s", value=found.effort.seconds, unit="s"),
        )
        return Choice(plan, flags, found.sketches, warm, facts)


def trace_probe_plan(
    model: nn.Module, batches: Iterable[Batch], *, task: str = "task", **options: Any
) -> ParameterPlan:
    """Find out which tensors of a model a task needs, and leave the model bit for bit as it was.

    The plan is a small document: ``plan.model_dump_json()`` writes it, `holdfast.core.parameter_plan.read_plan` reads
    it, and `holdfast.methods.probing.applying.apply_plan` freezes everything else.

    Args:
        model: Any causal language model of transformers; probed in float32 where it is in half precision.
        batches: What it is called with, as training has them, with ``labels``; for example a trainer's
            ``get_train_dataloader()``.
        task: Its name.
        **options: Those of `TraceProbe`, such as ``ratio=0.1, probe_learning_rate=1e-4``.

    Raises:
        RecipeError: If an option is out of range, or the budget selects nothing.
        BadData: If there is no batch.
        TrainingDiverged: If the probe diverges.
        HoldfastError: If nothing is eligible, or the probe moves nothing.
    """
    attachment = TraceProbe(**options).attach(model)
    try:
        attachment.prepare(Material({task: batches}))
        return attachment.plan()
    finally:
        attachment.detach()
