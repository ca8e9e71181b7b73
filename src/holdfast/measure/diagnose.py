"""What an update did to a base: every weight, and what is said on prompts, in one diagnosis."""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

import torch
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.algebra.delta import Delta, frobenius_norm
from holdfast.algebra.layer_inputs import Inputs
from holdfast.algebra.spectrum import Spectrum
from holdfast.core.diagnosis import CONTROL, UPDATE, Curve, Diagnosis, Prompts, Site
from holdfast.core.errors import NotMeasurable
from holdfast.core.record import Record
from holdfast.core.sites import block_of
from holdfast.measure.listening import activations_compared, inputs_read
from holdfast.measure.points import Point
from holdfast.probes.activation_geometry import ActivationGeometry
from holdfast.probes.capability_drift import CapabilityDrift
from holdfast.probes.sites import modules_at, usual_sites
from holdfast.probes.tokens import Ids, TokenChoice
from holdfast.probes.weight_space import WeightSpace, noted, random_change
from holdfast.weights.update import Update

Tick = Callable[[str, int, int], None]
"""Told what is done now, how much of it is done, and how much there is."""

UNREAD = "drift: the update changes no linear layer inside a numbered block of the model"

UNREADABLE = "prompts are read by a model: open the base, and give the tuned model as a point over it"


@dataclass(frozen=True)
class Asked:
    """Prompts of one role, in tokens.

    Attributes:
        source: Where they come from.
        prompts: Their token ids.
    """

    source: str
    prompts: Sequence[Ids]


@dataclass(frozen=True)
class Patient:
    """A base and an update of it.

    Attributes:
        base: The base, as it was named.
        tuned: The adapter or checkpoint, as it was named.
        form: How the update is held.
        update: The update.
        weight: From the name of a weight to its value in the base.
        params: Parameters of the base.
        spectrum: From a weight to its spectrum.
        model: The base itself; needed for prompts only.
        point: The tuned model, as a point over the base; needed for prompts only.
    """

    base: str
    tuned: str
    form: str
    update: Update
    weight: Callable[[str], Tensor]
    params: int
    spectrum: Callable[[Tensor], Spectrum]
    model: PreTrainedModel | None = None
    point: Point | None = None


@dataclass(frozen=True)
class Diagnosing:
    """What is looked at, and how.

    Attributes:
        weights: The probe of weights.
        drift: The probe of layers on prompts.
        activations: The probe of what modules say.
        sites: Modules listened to; queries, keys, values and the end of the MLP at two depths where not given.
        choice: Which tokens of a prompt are looked at.
        controls: Whether a random update of the same size is measured beside the update.
    """

    weights: WeightSpace = field(default_factory=WeightSpace)
    drift: CapabilityDrift = field(default_factory=CapabilityDrift)
    activations: ActivationGeometry = field(default_factory=ActivationGeometry)
    sites: tuple[str, ...] = ()
    choice: TokenChoice = field(default_factory=TokenChoice)
    controls: bool = True


def diagnose(
    patient: Patient,
    prompts: Mapping[str, Asked] | None = None,
    how: Diagnosing | None = None,
    tick: Tick = lambda what, done, total: None,
    *,
    notes: Sequence[str] = (),
) -> Diagnosis:
    """Everything that can be measured of an update: in the weights always, on prompts where there are some.

    Weights are read one at a time, with their change; drift takes one sweep of the base over each set of prompts,
    activations one of the base and one of the tuned model. The base is left as it was.

    Args:
        patient: What is diagnosed.
        prompts: Prompts by role, ``general`` and ``target``.
        how: What is looked at.
        tick: For progress.
        notes: What is to be told of the checkpoint beside what is measured.

    Raises:
        NotMeasurable: If the update changes no matrix, or a weight is quantised or not finite; names the weight.
        BadData: If a prompt has too few tokens.
        UnknownName: If the model has no module of a name that was given.
        IncompatibleUpdate: If the update does not fit the base.
    """
    how, prompts = how or Diagnosing(), prompts or {}
    started = time.perf_counter()
    found: list[Record | Curve] = []
    names = [name for name, change in patient.update.items() if len(change.shape) == 2]
    if not names:
        raise NotMeasurable(f"{patient.tuned} changes no matrix of {patient.base}: there is nothing to be diagnosed")
    # Before hours are spent on weights: what is asked of prompts must be there.
    listened = _listened(patient, prompts, how)
    inputs: dict[str, dict[str, dict[int, Inputs]]] = {}
    for role, asked in prompts.items():
        tick(f"inputs on {role} prompts", 0, 1)
        inputs[role] = inputs_read(_model(patient), asked.prompts, set(map(_module_of, patient.update)), how.choice)
        tick(f"inputs on {role} prompts", 1, 1)
    if not any(inputs.values()):
        found += [Record(subject=UPDATE, quantity=f"drift_relative/{role}", reason=UNREAD) for role in prompts]
    size = _WholeSize()
    for done, (name, stored) in enumerate(patient.update.items()):
        tick("weights", done, len(patient.update))
        weight, change = patient.weight(name), stored.in_memory()
        require_floating(name, weight.dtype)
        size.add(weight, change)
        if len(change.shape) == 2:
            found += _of_weight(patient, name, weight, change, how, inputs)
    tick("weights", len(patient.update), len(patient.update))
    found.append(noted(UPDATE, "relative_size_frobenius", "", size.relative))
    for role, asked in prompts.items():
        tick(f"activations on {role} prompts", 0, 1)
        found += activations_compared(
            _model(patient), _point(patient), role, asked.prompts, listened, how.choice, how.activations
        )
        tick(f"activations on {role} prompts", 1, 1)
    weights = [_site(_module_of(name), patient.update[name].shape) for name in names]
    return Diagnosis(
        base=patient.base,
        tuned=patient.tuned,
        form=patient.form,
        moved_params=sum(math.prod(change.shape) for change in patient.update.values()),
        base_params=patient.params,
        sites=(*weights, *(_site(name) for name in listened if name not in {site.name for site in weights})),
        prompts=tuple(
            Prompts(role=role, source=asked.source, count=len(asked.prompts), tokens=_tokens(asked, how.choice))
            for role, asked in prompts.items()
        ),
        records=tuple(one for one in found if isinstance(one, Record)),
        curves=tuple(one for one in found if isinstance(one, Curve)),
        notes=tuple(notes),
        environment={
            **{name: version(name) for name in ("holdfast", "torch", "transformers", "peft")},
            "seconds": f"{time.perf_counter() - started:.1f}",
        },
    )


def require_floating(name: str, dtype: torch.dtype) -> None:
    """Refuse weights that are codes, whose differences and directions are not those of what they stand for.

    Raises:
        NotMeasurable: If numbers of this type are whole, or too small to stand without a scale kept elsewhere.
    """
    if not dtype.is_floating_point or dtype.itemsize < 2:
        raise NotMeasurable(
            f"'{name}' is stored as {str(dtype).removeprefix('torch.')}, the code of a quantised weight: diagnose the "
            "model as it was before quantisation, or write both models out in bfloat16 first"
        )


def _of_weight(
    patient: Patient,
    name: str,
    weight: Tensor,
    change: Delta,
    how: Diagnosing,
    inputs: Mapping[str, Mapping[str, Mapping[int, Inputs]]],
) -> list[Record | Curve]:
    site, found = _module_of(name), list[Record | Curve]()
    try:
        base = patient.spectrum(weight)
        subjects: dict[str, Delta] = {UPDATE: change}
        if how.controls and change.norm() > 0:
            subjects[CONTROL] = random_change(change, seed=zlib.crc32(site.encode())).to(weight.device)
        read = {role: groups[site] for role, groups in inputs.items() if site in groups}
        for subject, each in subjects.items():
            found += how.weights.measure(subject, site, weight, each, base)
            if read:
                found += how.drift.measure(subject, site, weight, each, read)
    except NotMeasurable as reason:
        raise NotMeasurable(f"'{name}': {reason}") from reason
    return found


def _listened(patient: Patient, prompts: Mapping[str, Asked], how: Diagnosing) -> tuple[str, ...]:
    """The modules whose outputs are compared, once all that prompts need has been found to be there."""
    if not prompts:
        return ()
    model, _ = _model(patient), _point(patient)
    for asked in prompts.values():
        how.choice.check(asked.prompts)
    return tuple(modules_at(model, how.sites or usual_sites(model)))


def _model(patient: Patient) -> PreTrainedModel:
    if patient.model is None:
        raise NotMeasurable(UNREADABLE)
    return patient.model


def _point(patient: Patient) -> Point:
    if patient.point is None:
        raise NotMeasurable(UNREADABLE)
    return patient.point


class _WholeSize:
    """Norm of the update over that of the weights it lists, all of them together."""

    def __init__(self) -> None:
        self._changed: list[float] = []
        self._base: list[float] = []

    def add(self, weight: Tensor, change: Delta) -> None:
        self._changed.append(change.norm() ** 2)
        self._base.append(frobenius_norm(weight) ** 2)

    def relative(self) -> float:
        # Exact sums: the order in which weights lie in files leaves no trace.
        base = math.fsum(self._base)
        if base == 0:
            raise NotMeasurable("relative size of an update: the weights it lists are zero in the base")
        return math.sqrt(math.fsum(self._changed) / base)


def _tokens(asked: Asked, choice: TokenChoice) -> int:
    return sum(len(choice.positions(ids)) for ids in asked.prompts)


def _module_of(weight: str) -> str:
    return weight.removesuffix(".weight")


def _site(name: str, shape: Sequence[int] = ()) -> Site:
    block, module = block_of(name)
    return Site(name=name, block=block, module=module, shape=tuple(shape))
