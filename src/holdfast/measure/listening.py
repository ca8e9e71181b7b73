"""What layers read and modules say on prompts, in groups that do not hang on the order of the prompts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from transformers import PreTrainedModel

from holdfast.algebra.layer_inputs import Inputs
from holdfast.core.diagnosis import MISMATCHED, UPDATE
from holdfast.core.errors import NotMeasurable
from holdfast.core.record import Record
from holdfast.measure.points import Point
from holdfast.probes.activation_geometry import ActivationGeometry
from holdfast.probes.gathered import layer_inputs, mismatched, paired_moments, sampled
from holdfast.probes.sites import linear_sites
from holdfast.probes.sweep import Taken, sweep
from holdfast.probes.tokens import Ids, TokenChoice

GROUPS = 20
"""Groups of prompts over which intervals are taken; a prompt is a group of its own where there are fewer."""

SAMPLED_ROWS = 1024
"""Rows between which all pairs of cosines are compared."""


def inputs_read(
    model: PreTrainedModel, prompts: Sequence[Ids], changed: Collection[str], choice: TokenChoice
) -> dict[str, dict[int, Inputs]]:
    """What those linear layers of the base read that an update changes, group by group; nothing if there are none."""
    try:
        sites = [site for site in linear_sites(model) if site in changed]
    except NotMeasurable:
        # Layers of other kinds: the caller says that drift was not measured.
        return {}
    if not sites:
        return {}
    return layer_inputs(sweep(model, prompts, sites, side="inputs", choice=choice), group=grouping(prompts, choice))


def activations_compared(
    model: PreTrainedModel,
    point: Point,
    role: str,
    prompts: Sequence[Ids],
    sites: Sequence[str],
    choice: TokenChoice,
    probe: ActivationGeometry,
) -> Iterator[Record]:
    """What modules of the base and of the tuned model say, compared; beside it, what unrelated tokens give."""
    before = _in_order(sweep(model, prompts, sites, choice=choice))
    with point.on(model) as tuned:
        after = _in_order(sweep(tuned, prompts, sites, choice=choice))
    few = max(1, SAMPLED_ROWS // len(prompts))
    pairs = {UPDATE: after}
    try:
        pairs[MISMATCHED] = mismatched(after)
    except NotMeasurable as reason:
        yield Record(subject=MISMATCHED, quantity=f"cka_unbiased/{role}", reason=str(reason))
    for subject, taken in pairs.items():
        moments = paired_moments(before, taken, group=grouping(prompts, choice))
        rows = sampled(before, few), sampled(taken, few)
        for site in sites:
            yield from probe.measure(subject, site, role, moments[site], (rows[0][site], rows[1][site]))


def grouping(prompts: Sequence[Ids], choice: TokenChoice) -> Callable[[int], int]:
    """From the number of a prompt to that of its group: by what prompts say, so that their order decides nothing."""
    order = sorted(range(len(prompts)), key=lambda prompt: choice.key(prompts[prompt]))
    group = {prompt: place % GROUPS for place, prompt in enumerate(order)}
    return group.__getitem__


def _in_order(taken: Iterable[Taken]) -> list[Taken]:
    """By what prompts say: with whose tokens a null pairs them must not hang on the order in which they came."""
    return sorted(taken, key=lambda each: (each.key, each.prompt))
