"""A choice written down: the plan of one stage, with every number that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from holdfast.algebra.ranking import Units
from holdfast.core.parameter_plan import ParameterPlan, PlannedTensor
from holdfast.core.record import Record
from holdfast.methods.probing.ledger import Ledger
from holdfast.methods.probing.scoring import Scored
from holdfast.methods.probing.units import other_names


def planned_tensors(
    model: nn.Module,
    tensors: Mapping[str, nn.Parameter],
    flags: Units,
    scored: Scored,
    ledger: Ledger,
    zero_frac: Mapping[str, float],
) -> tuple[PlannedTensor, ...]:
    """All eligible tensors, in the order of the model.

    Of a tensor of which rows or scalars are chosen, the score is that of its best unit, and signals are means.
    """
    aliases = other_names(model)
    scores = {name: float(each.max()) for name, each in scored.scores.items()}
    order = sorted(scores, key=lambda name: -scores[name])  # stable: of equal ones the earlier
    ranks = {name: place for place, name in enumerate(order, start=1)}

    def told(signals: Mapping[str, Mapping[str, Tensor]], name: str) -> dict[str, float]:
        return {signal: float(each[name].double().mean()) for signal, each in signals.items() if name in each}

    return tuple(
        PlannedTensor(
            name=name,
            params=tensor.numel(),
            chosen=bool(flags[name].any()),
            score=scores.get(name),
            signals=told(scored.signals, name),
            scaled=told(scored.scaled, name),
            rank=ranks.get(name),
            owners=ledger.owning_tasks(name),
            zero_frac=zero_frac.get(name),
            same_as=aliases.get(name, ()),
            chosen_params=_part(flags[name], tensor),
        )
        for name, tensor in tensors.items()
    )


def planned(
    model: nn.Module,
    tensors: tuple[PlannedTensor, ...],
    *,
    task: str,
    method: str,
    seed: int,
    probe_identity: str | None,
    start_identity: str | None,
    settings: Mapping[str, Any],
) -> ParameterPlan:
    """The plan of a stage on a model."""
    return ParameterPlan(
        task=task,
        method=method,
        seed=seed,
        model_params=sum(tensor.numel() for tensor in model.parameters()),
        model_tensors=sum(1 for _ in model.parameters()),
        tensors=tensors,
        probe_identity=probe_identity,
        start_identity=start_identity,
        settings=dict(settings),
    )


def plan_facts(plan: ParameterPlan) -> list[Record]:
    """How much is trained, as shares of tensors and of parameters, which say different things."""
    eligible = sum(tensor.params for tensor in plan.tensors)
    trained = plan.trained_params
    shares = {
        "core_tensors_frac_of_eligible": len(plan.chosen) / len(plan.tensors),
        "core_params_frac_of_eligible": trained / eligible,
        "core_params_frac_of_all": trained / plan.model_params,
    }
    shared = sum(1 for tensor in plan.chosen if tensor.owners)
    return [
        Record(subject="run", quantity="core_params", value=float(trained)),
        Record(subject="run", quantity="core_tensors", value=float(len(plan.chosen))),
        *(Record(subject="run", quantity=name, value=share, unit="frac") for name, share in shares.items()),
        Record(subject="run", quantity="core_tensors_of_earlier_tasks", value=float(shared)),
    ]


def _part(flags: Tensor, tensor: Tensor) -> int | None:
    """How many scalars are trained, where that is not all or none of them."""
    if bool(flags.all()) or not bool(flags.any()):
        return None
    return int(flags.sum()) * (tensor.numel() // flags.numel())
