"""Which measures foretell forgetting and which do not, in a few lines of plain words.

A measure goes with forgetting where its p-value, adjusted for all measures tried, is small and the interval of r leaves
out 0. It says more than the size of the update does where the interval of rho at a given size leaves out 0 as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from holdfast.metrics.correlation import Undefined
from holdfast.metrics.families import Permuted
from holdfast.metrics.relation import Relation
from holdfast.report.relations.analysis import Related
from holdfast.report.relations.measures import title_of
from holdfast.report.relations.phrases import (
    by_size,
    correlation,
    defined,
    found_given_size,
    found_with_forgetting,
    plain,
    turning,
)
from holdfast.report.wording import base_name, counted, listed

MOST = 10
"""Measures that a line names; the rest is counted."""


def headline(related: Related) -> str:
    """The question that a report answers."""
    return f"Does geometry foretell what {listed(related.found.learn)} makes {base_name(related.found.base)} forget?"


def verdict(related: Related) -> tuple[str, ...]:
    """What was found, a line each: beyond the size of the update, with it, not at all, and what a sign hangs on."""
    others = defined(related.others)
    beyond = [relation for relation in others if found_given_size(relation)]
    along = [relation for relation in others if found_with_forgetting(relation) and relation not in beyond]
    rest = [relation for relation in others if not found_with_forgetting(relation)]
    return (
        *_beyond(beyond, len(related.others)),
        *_foretelling(beyond, by_size(related.size)),
        *_along(along),
        _size(related.size),
        *_rest(rest),
        *_undefined([relation for relation in related.others if relation not in others]),
        *_signs(defined(related.relations)),
    )


def scope(related: Related) -> str:
    """What it rests on."""
    first = related.size
    return (
        f"{counted(first.checkpoints, 'checkpoint')} of {counted(first.families, 'method')} and "
        f"{counted(len({row.seed for row in related.found.checkpoints}), 'seed')}"
    )


def caveats(related: Related) -> tuple[str, ...]:
    """What must be minded before any of it is believed."""
    first = related.size
    lines = []
    if first.families == 1:
        lines.append("All checkpoints are of one method: nothing here says how another would fare, and there is no p.")
    elif first.indicative:
        lines.append("Fewer than five methods: the intervals are indicative only.")
    lines += _floor(related)
    if not first.outcome_noise_included:
        lines.append("No draws of evaluation items were kept: the intervals do not cover other items.")
    return tuple(lines)


def _beyond(beyond: Sequence[Relation], tried: int) -> Iterator[str]:
    if not tried:
        return
    if not beyond:
        yield "No measure was found to go with forgetting beyond what the size of the update tells."
        return
    verb = "goes" if len(beyond) == 1 else "go"
    yield (
        f"Beyond what the size of the update tells, {len(beyond)} of {counted(tried, 'measure')} {verb} with "
        f"forgetting: {_named(beyond)}."
    )


def _foretelling(beyond: Sequence[Relation], size: float | Undefined) -> Iterator[str]:
    """Which of them foretell methods that were left out better than size does."""
    known = [(each.measure, r) for each in beyond if not isinstance(r := each.prediction.r_squared, Undefined)]
    if not known or isinstance(size, Undefined):
        return
    better = sorted((each for each in known if each[1] > max(size, 0.0)), key=lambda each: -each[1])
    named = _several(f"{title_of(measure)} (R² {plain(r)})" for measure, r in better)
    if better:
        yield (
            f"A method that was left out is foretold better than by the logarithm of its size (R² {plain(size)}) by "
            f"{named}."
        )
    else:
        yield (
            "None of them foretells a method that was left out better than the logarithm of its size "
            f"(R² {plain(size)})."
        )


def _along(along: Sequence[Relation]) -> Iterator[str]:
    if along:
        verb, it = ("goes", "it is") if len(along) == 1 else ("go", "them is")
        yield (
            f"{counted(len(along), 'measure')} {verb} with forgetting as the size does, and nothing sure of {it} left "
            f"at a given size: {_named(along)}."
        )


def _size(size: Relation) -> str:
    if isinstance(size.pearson, Undefined):
        return f"No correlation with the size of the update: {_bare(size.pearson)}."
    if found_with_forgetting(size):
        return f"The size of the update itself goes with forgetting: r {correlation(size.pearson)}."
    return f"The size of the update itself is not told apart from chance: r {correlation(size.pearson)}."


def _rest(rest: Sequence[Relation]) -> Iterator[str]:
    if rest:
        verb = "is" if len(rest) == 1 else "are"
        names = _several(title_of(relation.measure) for relation in rest)
        yield f"{counted(len(rest), 'measure')} {verb} not told apart from chance: {names}."


def _undefined(undefined: Sequence[Relation]) -> Iterator[str]:
    for relation in undefined:
        if isinstance(relation.pearson, Undefined):
            yield f"No correlation with {title_of(relation.measure)}: {_bare(relation.pearson)}."


def _signs(relations: Sequence[Relation]) -> Iterator[str]:
    """Whether a sign hangs on one method, or on two."""
    if not relations or all(isinstance(relation.left_out, Undefined) for relation in relations):
        return
    alone = [(relation, turned) for relation in relations if (turned := turning(relation, 1))]
    if alone:
        named = _several(f"{title_of(each.measure)} (without {' or '.join(turned)})" for each, turned in alone)
        yield f"The sign of r turns when a single method is left out: {named}."
    else:
        yield "No sign of r turns when any one method is left out."


def _floor(related: Related) -> Iterator[str]:
    """Whether so few methods could have shown anything at all."""
    exact = [each.permuted for each in related.relations if isinstance(each.permuted, Permuted) and each.permuted.exact]
    tried, first = len(related.relations), related.size
    if exact and tried > (1 - first.level) * exact[0].permutations:
        yield (
            f"With {counted(first.families, 'method')} no measure could be told apart from chance: their order has "
            f"{exact[0].permutations:,} permutations, so that p, adjusted for {counted(tried, 'measure')}, is at least "
            f"{plain(min(tried / exact[0].permutations, 1.0))}."
        )


def _bare(undefined: Undefined) -> str:
    return undefined.reason.removeprefix("undefined: ")


def _named(relations: Sequence[Relation]) -> str:
    return _several(f"{title_of(each.measure)} (r {correlation(each.pearson)})" for each in relations)


def _several(names: Iterable[str]) -> str:
    """Names that hold commas themselves, as a sentence lists them."""
    every = list(names)
    shown = every if len(every) <= MOST else [*every[: MOST - 1], f"{len(every) - MOST + 1} more"]
    return "; ".join(shown)
