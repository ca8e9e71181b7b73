"""What drift on general prompts says against drift on target prompts, in words."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from holdfast.core.diagnosis import CONTROL
from holdfast.core.record import Record
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.phrases import brief, place, share, told

RATIO = "drift_ratio_relative"


def told_of_drift(findings: Findings) -> Iterator[str]:
    """How strongly the update acts on what layers read, on which prompts more, and where most."""
    drifts = {role: found for role in findings.roles if (found := findings.values(f"drift_relative/{role}"))}
    if not drifts:
        return
    each = " and ".join(f"{brief(median(found.values()))} on {role} prompts" for role, found in drifts.items())
    role, first = next(iter(drifts.items()))
    strongest = max((site for site in findings.sites if site.name in first), key=lambda site: first[site.name])
    record = findings.record(f"drift_relative/{role}", strongest.name)
    yield (
        f"What the median layer says drifts by {each} (squared change over square); on {role} prompts most at "
        f"{place(strongest)}, by {told(record)}."
    )
    yield from _ratios(findings)


def _ratios(findings: Findings) -> Iterator[str]:
    found = [findings.record(RATIO, site.name) for site in findings.sites]
    ratios = [record for record in found if record is not None and record.value is not None]
    if not ratios:
        return
    middle, control = findings.middle(RATIO), findings.middle(RATIO, CONTROL)
    random = "" if control is None else f" (random update: {brief(control)})"
    ratio = f"the median ratio of general to target is {brief(middle or 0.0)}{random}"
    sided = [side for record in ratios if (side := _side(record)) is not None]
    if not any(record.spread for record in ratios):
        yield f"Drift: {ratio}; without intervals it is not known how sure that is."
        return
    general, target = sided.count(1), sided.count(-1)
    leaning = "general" if general > target else "target"
    if not general + target:
        yield f"In no layer does drift differ between general and target prompts beyond its interval; {ratio}."
    else:
        many, few = max(general, target), min(general, target)
        other = "target" if leaning == "general" else "general"
        yield (
            f"Beyond the interval, drift is larger on {leaning} prompts in {share(many, len(ratios), 'layer')}, "
            f"larger on {other} prompts in {few or 'none'}; {ratio}."
        )


def _side(record: Record) -> int | None:
    """1 where general prompts drift more beyond the interval, -1 where target prompts do."""
    if record.spread is None:
        return None
    return 1 if record.spread[0] > 1 else -1 if record.spread[1] < 1 else 0
