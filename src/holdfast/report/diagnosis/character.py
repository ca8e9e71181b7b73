"""Whether an update turns directions or distorts, and over how many directions it is spread, in words."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from holdfast.core.diagnosis import CONTROL, UPDATE
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.phrases import brief, share

SIZE, CHANGE, DIAGONAL, SEEN = "relative_size_frobenius", "singular_value_change", "diagonal_frac", "energy_seen_frac"
INTRUDERS, TURNED, RANK = "intruders/left", "subspace_distance/right/8", "stable_rank"
EXACTLY = "for the size of the update, singular values moved by"
FIRST_ORDER = "to first order, and for the size of the update, singular values moved by"

ROTATING, DISTORTING = 0.5, 1.5
"""Rotation-like moves singular values by less than this share of what a random update does; distorting by more."""

INTRUDED = 0.1
"""An update brings in new directions if this share of weights, and more than after a random update, got intruders."""

CONCENTRATED = 0.5
"""An update whose stable rank is below this share of a random one's is called concentrated."""


def told_of_character(findings: Findings) -> Iterator[str]:
    """Rotation-like, distorting, or as any change of that size; with the numbers it rests on."""
    moved, control, how = _moved(findings)
    if moved is None:
        return
    beside = "" if control is None else f" (random update of the same size: {brief(control)})"
    evidence = f"{how} {brief(moved)} in the median weight{beside}{_turned(findings)}; {_intruders(findings)}"
    if control is None:
        yield f"Rotation-like or distorting: not known without a random update beside it; {evidence}."
        return
    more_intruders = _intruded(findings)
    if moved <= ROTATING * control and not more_intruders:
        yield f"Rotation-like: it keeps singular values better than chance does. {_first(evidence)}."
    elif moved >= DISTORTING * control or more_intruders:
        what = "brings in new directions" if more_intruders else "moves singular values more than chance does"
        what = f"{what} and moves singular values" if more_intruders and moved >= DISTORTING * control else what
        yield f"Distorting: it {what}. {_first(evidence)}."
    else:
        yield f"Neither rotation-like nor more distorting than a random update of its size. {_first(evidence)}."


def told_of_spread(findings: Findings) -> Iterator[str]:
    """How concentrated the update is."""
    rank, control = findings.middle(RANK), findings.middle(RANK, CONTROL)
    if rank is None:
        return
    if control is None:
        yield f"The stable rank of the median weight's update is {brief(rank)}."
        return
    beside = f"stable rank {brief(rank)} in the median weight, where a random update of the same size has"
    if rank < CONCENTRATED * control:
        yield f"Concentrated on few directions: {beside} {brief(control)}."
    else:
        yield f"Spread over many directions: {beside} {brief(control)}."


def _moved(findings: Findings) -> tuple[float | None, float | None, str]:
    """How far singular values moved for the size of the update, the same of a random update, and how it was found.

    From all singular values, else to first order: the diagonal of a change in the singular directions of its weight
    moves them, and of large weights nothing else is known.
    """
    known = bool(findings.values(SIZE, CONTROL))
    for how, moves in ((EXACTLY, _exactly), (FIRST_ORDER, _to_first_order)):
        update, control = moves(findings, UPDATE), moves(findings, CONTROL)
        both = [site for site in update if site in control]
        if both:
            return median(update[site] for site in both), median(control[site] for site in both), how
        if update and not known:
            return median(update.values()), None, how
    return None, None, ""


def _exactly(findings: Findings, subject: str) -> dict[str, float]:
    sizes = findings.values(SIZE, subject)
    return {site: value / sizes[site] for site, value in findings.values(CHANGE, subject).items() if sizes.get(site)}


def _to_first_order(findings: Findings, subject: str) -> dict[str, float]:
    seen = findings.values(SEEN, subject)
    return {site: (value * seen.get(site, 1.0)) ** 0.5 for site, value in findings.values(DIAGONAL, subject).items()}


def _turned(findings: Findings) -> str:
    turned, control = findings.middle(TURNED), findings.middle(TURNED, CONTROL)
    if turned is None:
        return ""
    beside = "" if control is None else f" (random: {brief(control)})"
    return f"; the 8 leading input directions turned by {brief(turned)} of 1{beside}"


def _intruders(findings: Findings) -> str:
    counts = findings.values(INTRUDERS)
    if not counts:
        return "whether there are intruders is not known"
    control = findings.values(INTRUDERS, CONTROL)
    found = share(_with_intruders(findings), len(counts), "weight") if any(counts.values()) else "no weight"
    beside = "" if not control else f" (random: {_with_intruders(findings, CONTROL):,})"
    return f"{found} got intruders, directions that resemble none of the base's{beside}"


def _with_intruders(findings: Findings, subject: str = UPDATE) -> int:
    return sum(count > 0 for count in findings.values(INTRUDERS, subject).values())


def _intruded(findings: Findings) -> bool:
    there, control = _with_intruders(findings), _with_intruders(findings, CONTROL)
    return there > DISTORTING * control and there >= INTRUDED * len(findings.values(INTRUDERS))


def _first(text: str) -> str:
    return text[0].upper() + text[1:]
