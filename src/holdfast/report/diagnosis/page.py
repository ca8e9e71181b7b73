"""The page of a diagnosis: one file that needs no server and no network."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from holdfast.core.diagnosis import Diagnosis
from holdfast.report.diagnosis.activations import MOST_SITES, listened
from holdfast.report.diagnosis.caveats import caveats
from holdfast.report.diagnosis.charts import activation_chart, one_profile, small_multiples
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.heat import HeatMap, heat_map
from holdfast.report.diagnosis.ledger import activation_ledger, weight_ledger
from holdfast.report.diagnosis.profiles import curves_of, panels_of
from holdfast.report.diagnosis.readings import readings_of
from holdfast.report.diagnosis.verdict import headline, verdict_of
from holdfast.report.offline import embedded, rendered
from holdfast.report.wording import base_name, counted


def diagnosis_page(diagnosis: Diagnosis) -> str:
    """The page as HTML; plotly.js, 5 MB, is part of it."""
    return rendered("diagnosis.html.j2", _facts(diagnosis))


def _facts(diagnosis: Diagnosis) -> dict[str, Any]:
    """What the template is filled with."""
    findings = Findings(diagnosis)
    heat, curves = heat_map(findings), curves_of(findings)
    heard = listened(findings)
    return {
        "diagnosis": diagnosis,
        "title": headline(diagnosis),
        "verdict": verdict_of(diagnosis),
        "caveats": caveats(diagnosis),
        "setup": _setup(findings),
        "heat": heat,
        "headings": {} if heat is None else _switch(heat),
        "layers": embedded(None if heat is None else {layer.name: asdict(layer) for layer in heat.layers}),
        "multiples": embedded(small_multiples(findings)),
        "profile": embedded(one_profile(findings)),
        "panels": panels_of(findings, curves),
        "curves": list(curves),
        "weights": weight_ledger(findings),
        "activations": embedded(activation_chart(findings)),
        "heard": activation_ledger(findings),
        "unseen": max(len(heard) - MOST_SITES, 0),
        "readings": readings_of(findings),
    }


def _setup(findings: Findings) -> list[tuple[str, str]]:
    """What was looked at, in a few words each."""
    diagnosis = findings.diagnosis
    places = sum(bool(site.shape) for site in findings.sites)
    facts = [
        ("base", f"{base_name(diagnosis.base)}, {diagnosis.base_params:,} parameters"),
        ("tuned", f"{base_name(diagnosis.tuned)}, {diagnosis.form}"),
        ("weights", f"{counted(places, 'matrix') if places == 1 else f'{places:,} matrices'} looked at"),
    ]
    for prompts in diagnosis.prompts:
        counts = f"{counted(prompts.count, 'prompt')}, {counted(prompts.tokens, 'token')}"
        facts.append((f"{prompts.role} prompts", f"{base_name(prompts.source)}, {counts}"))
    return facts


def _switch(heat: HeatMap) -> dict[str, list[tuple[str, str]]]:
    """What the switch lists: heading -> name and title of each quantity."""
    found: dict[str, list[tuple[str, str]]] = {}
    for layer in heat.layers:
        found.setdefault(layer.heading, []).append((layer.name, layer.title))
    return found
