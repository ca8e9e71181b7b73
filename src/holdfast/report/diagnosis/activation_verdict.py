"""Which modules say something else than they did, against what unrelated tokens would show, in words."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.core.diagnosis import MISMATCHED, Site
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.phrases import brief, place, told

RESIDUAL, CKA, GRAM = "procrustes_residual", "cka_unbiased", "gram_cosine_distance"
TITLES = {RESIDUAL: "Procrustes residual", CKA: "unbiased CKA", GRAM: "Gram distance"}


def told_of_activations(findings: Findings) -> Iterator[str]:
    """For each set of prompts, where activations were distorted most and least."""
    for role in findings.roles:
        sites = {site.name: site for site in findings.sites}
        far = {name: _distance(findings, role, name) for name in sites}
        known = {name: distance for name, distance in far.items() if distance is not None}
        if not known:
            continue
        most, least = max(known, key=lambda name: known[name]), min(known, key=lambda name: known[name])
        numbers = ", ".join(_numbers(findings, role, sites[most]))
        line = f"On {role} prompts, of {len(known):,} modules listened to"
        line = f"On {role} prompts" if len(known) == 1 else line
        where = (
            f"{line}, {place(sites[most])} was distorted most"
            if len(known) > 1
            else f"{line}, the output of {place(sites[most])} changed"
        )
        rest = (
            ""
            if known[most] == known[least]
            else f"; least: {place(sites[least])} ({_residual(findings, role, least)})"
        )
        yield f"{where}: {numbers}{rest}{_disagreement(findings, role, most, sites)}."


def _distance(findings: Findings, role: str, site: str) -> float | None:
    """The Procrustes residual as a share of that of unrelated tokens, since modules of other widths have another."""
    value = findings.value(f"{RESIDUAL}/{role}", site)
    null = findings.value(f"{RESIDUAL}/{role}", site, MISMATCHED)
    return value if value is None or not null else value / null


def _numbers(findings: Findings, role: str, site: Site) -> Iterator[str]:
    for name, title in TITLES.items():
        record = findings.record(f"{name}/{role}", site.name)
        if record is not None and record.value is not None:
            null = findings.value(f"{name}/{role}", site.name, MISMATCHED)
            yield f"{title} {told(record)}" + ("" if null is None else f" (unrelated tokens: {brief(null)})")


def _residual(findings: Findings, role: str, site: str) -> str:
    return brief(findings.value(f"{RESIDUAL}/{role}", site) or 0.0)


def _disagreement(findings: Findings, role: str, most: str, sites: dict[str, Site]) -> str:
    similar = {name: value for name, value in findings.values(f"{CKA}/{role}").items() if name in sites}
    lowest = min(similar, key=lambda name: similar[name], default=most)
    if lowest == most or similar[lowest] >= similar.get(most, float("inf")):
        return ""
    return f"; by unbiased CKA it is {place(sites[lowest])} ({brief(similar[lowest])})"
