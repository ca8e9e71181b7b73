"""What a diagnosis found, in at most ten lines of plain words.

Every number is a record, or the median or the count of records. What an update does is held against a random update of
the same size wherever one was measured: much that looks like a finding is what any change of that size does. Nothing is
said about causes, and nothing about what was forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import median

from holdfast.core.diagnosis import Diagnosis, Site
from holdfast.report.diagnosis.activation_verdict import told_of_activations
from holdfast.report.diagnosis.character import told_of_character, told_of_spread
from holdfast.report.diagnosis.drift_verdict import told_of_drift
from holdfast.report.diagnosis.findings import WHOLE, Findings
from holdfast.report.diagnosis.phrases import blocks, brief, place, several, share
from holdfast.report.wording import base_name

SIZE = "relative_size_frobenius"
EVEN = 1.25
"""Medians that differ by no more than this factor are called even."""

NEEDED = {
    SIZE: "how large the update is",
    "singular_value_change": "how far singular values moved",
    "stable_rank": "how concentrated the update is",
    "intruders/left": "whether there are intruders",
    "drift_relative/general": "drift on general prompts",
    "drift_relative/target": "drift on target prompts",
    "procrustes_residual/general": "the Procrustes residual on general prompts",
    "procrustes_residual/target": "the Procrustes residual on target prompts",
    "cka_unbiased/general": "unbiased CKA on general prompts",
    "cka_unbiased/target": "unbiased CKA on target prompts",
}
"""Quantities that the verdict speaks of, and what is not known without them."""


def headline(diagnosis: Diagnosis) -> str:
    """The title of a report."""
    return f"What {base_name(diagnosis.tuned)} changed in {base_name(diagnosis.base)}"


def verdict_of(diagnosis: Diagnosis) -> tuple[str, ...]:
    """What was found, a sentence or two a line; at most ten lines."""
    findings = Findings(diagnosis)
    if findings.zero:
        return (_scope(diagnosis, "changes none of them: every weight is that of the base."), *_unmeasured(findings))
    return (
        *_size(findings),
        *_modules(findings),
        *_depth(findings),
        *told_of_character(findings),
        *told_of_spread(findings),
        *told_of_drift(findings),
        *told_of_activations(findings),
        *_unmeasured(findings),
    )


def _scope(diagnosis: Diagnosis, ending: str) -> str:
    moved, params = diagnosis.moved_params, diagnosis.base_params
    all_of = f"all {params:,} parameters" if moved == params else f"{moved:,} of {params:,} parameters"
    return f"The update ({diagnosis.form}) covers {all_of} and {ending}"


def _size(findings: Findings) -> Iterator[str]:
    whole, values = findings.value(SIZE, WHOLE), findings.values(SIZE)
    if whole is not None:
        yield _scope(findings.diagnosis, f"moves them by {brief(whole)} of their norm.")
    elif values:
        yield _scope(findings.diagnosis, f"moves the median weight by {brief(median(values.values()))} of its norm.")
    else:
        yield _scope(findings.diagnosis, "it is not known how far it moves them.")


def _modules(findings: Findings) -> Iterator[str]:
    """Which modules moved most for their own size."""
    values = findings.values(SIZE)
    known = [site for site in findings.sites if site.name in values]
    if not known:
        return
    kinds = {kind: median(values[site.name] for site in there) for kind, there in _by_module(known).items()}
    largest = max(known, key=lambda site: values[site.name])
    top = f"the largest change of one weight is that of {place(largest)}, {brief(values[largest.name])}"
    if len(known) == 1:
        yield f"It changes one matrix only, {place(known[0])}."
    elif len(kinds) < 2:
        yield f"Only {next(iter(kinds))} changes; {top}."
    else:
        ranked = sorted(kinds.items(), key=lambda kind: -kind[1])
        most, least = ranked[0], ranked[-1]
        if most[1] <= EVEN * least[1]:
            yield (
                f"For their own norm all kinds of modules moved about alike, from {brief(least[1])} ({least[0]}) to "
                f"{brief(most[1])} ({most[0]}) in the median; {top}."
            )
        else:
            leading = [f"{kind} ({brief(value)})" for kind, value in ranked if EVEN * value >= most[1]]
            yield (
                f"For their own norm, {several(leading, 3)} moved most in the median, {least[0]} ({brief(least[1])}) "
                f"least; {top}."
            )


def _depth(findings: Findings) -> Iterator[str]:
    """In which third of the blocks weights moved most for their own size."""
    values = findings.values(SIZE)
    numbered = {site.name: site.block for site in findings.sites if site.block is not None and site.name in values}
    depths = sorted(set(numbered.values()))
    if len(depths) < 3:
        return
    cuts = [round(part * len(depths) / 3) for part in range(4)]
    parts = [depths[start:end] for start, end in pairwise(cuts)]
    found = [median(values[site] for site, block in numbered.items() if block in part) for part in parts]
    each = ", ".join(f"{brief(value)} in {blocks(part)}" for part, value in zip(parts, found, strict=True))
    if max(found) <= EVEN * min(found):
        yield f"Over the depth it is about even: {each}."
    else:
        yield f"Over the depth it is largest in {blocks(parts[found.index(max(found))])}: {each}."


def _by_module(sites: Sequence[Site]) -> Mapping[str, list[Site]]:
    found: dict[str, list[Site]] = {}
    for site in sites:
        found.setdefault(site.module, []).append(site)
    return found


def _unmeasured(findings: Findings) -> Iterator[str]:
    """What is not known, and what geometry cannot know."""
    if not findings.roles and not findings.zero:
        yield (
            "Nothing was measured on prompts, so it is not known whether the data use the directions that changed, nor "
            "what happened to activations; --general and --target tell."
        )
    if findings.zero:
        return
    missing = {name: reasons for name in NEEDED if (reasons := findings.missing(name))}
    others = [_reason(findings, *item) for item in missing.items()]
    more = f"; nor {several(others, 3)}" if others else ""
    yield f"Not known from geometry: what was forgotten, and why; only scores tell{more}."


def _reason(findings: Findings, quantity: str, reasons: Mapping[str, str]) -> str:
    total = len(findings.sites_of(quantity))
    reason = next(iter(reasons.values()))
    where = next(iter(reasons)) if len(reasons) == 1 else share(len(reasons), total, "site")
    return f"{NEEDED[quantity]} at {where} ({reason})"
