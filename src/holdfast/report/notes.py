"""What a reader must know to read the numbers of a comparison right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.core.evidence import RANKED, Evidence
from holdfast.report.wording import listed

ENOUGH_SEEDS = 5


def notes_on(evidence: Evidence, headline: Sequence[str]) -> Iterable[str]:
    """The notes, the weightiest first."""
    seeds = max((len(entrant.runs) for entrant in evidence.entrants), default=0)
    if seeds == 1:
        yield "One seed: intervals cover other test items, not other training seeds. Seed noise is not included."
    elif 1 < seeds < ENOUGH_SEEDS:
        yield (
            f"{seeds} seeds: intervals cover items and seeds; with so few seeds that truly differ they are too narrow. "
            "The t-interval over seeds is given beside them."
        )
    apart = [entrant.label for entrant in evidence.entrants if entrant.standing not in RANKED]
    if apart:
        yield f"Shown apart, not ranked, since they cannot be brought to the budget: {listed(apart)}."
    coarse = [f"{e.label} {e.budget_gap_frac:+.1%}" for e in evidence.entrants if e.standing == "coarse"]
    if coarse:
        yield f"Outside the budget's tolerance, at their nearest setting: {listed(coarse)}."
    aside = [task for task in evidence.keep if task not in headline]
    if aside:
        yield f"Not part of the mean forgetting, since losses and accuracies have no common mean: {listed(aside)}."
    if evidence.overlap_items:
        yield f"{evidence.overlap_items:,} training examples were left out because they are also evaluated."
    yield from _on_best_points(evidence)


def _on_best_points(evidence: Evidence) -> Iterable[str]:
    """What the comparison at best points rests on, or that there is none."""
    runs = [(entrant.label, run) for entrant in evidence.entrants for run in entrant.runs]
    found = [run.rewound for _, run in runs if run.rewound is not None]
    if not found:
        yield "Final checkpoints are compared. A point part-way back may be better for some of them."
        return
    yield (
        f"Final checkpoints are compared; the best points beside them were chosen by {found[0].rule} on validation "
        "items, and are scored on test items."
    )
    few = sum(each.too_few is not None for each in found)
    if few:
        yield f"In {few} of {len(found)} runs the validation items were too few to be sure of the best point."
    stuck: dict[str, list[str]] = {}
    for label, run in runs:
        if run.no_way_back is not None and label not in stuck.setdefault(run.no_way_back, []):
            stuck[run.no_way_back].append(label)
    for reason, labels in stuck.items():
        yield f"No way back, so left where they ended: {listed(labels)} ({reason})."
