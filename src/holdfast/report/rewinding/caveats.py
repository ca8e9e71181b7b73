"""What must be minded before what a rewinding found is believed."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.report.rewinding.phrases import place
from holdfast.report.rewinding.ways import Rewound, kept_unseen
from holdfast.report.wording import counted, listed, number, quoted, sentence

OVERSHOT = "the finished model overshot"
"""How the statement on overshoot begins where it is found."""


def caveats(view: Rewound) -> tuple[str, ...]:
    """What must be minded before any of it is believed."""
    return tuple(_caveats(view))


def _caveats(view: Rewound) -> Iterator[str]:
    found = view.found
    if found.too_few:
        yield sentence(found.too_few)
    yield from map(sentence, found.notes)
    split = found.walk.points[0].scores.split
    if split != "validation":
        yield f"The point was chosen on {split} items: what is said of them says little of items that nobody looked at."
    if view.inside:
        yield (
            "The intervals of the chosen point are those of that point: they do not count that the same items chose "
            "it among others. Items that did not choose are the honest estimate."
        )
    if view.chosen is view.final and found.overshoot.startswith(OVERSHOT):
        yield (
            f"{found.rule} keeps the finished checkpoint, though a point before it is as good within the margin of the "
            "statement on overshoot: another rule may rewind."
        )
    if aside := kept_unseen(view):
        yield f"Not part of the mean forgetting, since losses and accuracies have no common mean: {listed(aside)}."
    yield from _skipped(view)
    for way in view.ways:
        if beyond := [place(each.t) for each in way.places if each.beyond]:
            yield (
                f"Points of the path {quoted([way.name])} that lie farther from the base than its end, and take no "
                f"part in a choice: t = {listed(beyond)}."
            )


def _skipped(view: Rewound) -> Iterator[str]:
    """Answers that were not asked for, and what asking some of them all the same says of the rest."""
    for way, walk in zip(view.ways, (view.found.walk, *view.found.rivals), strict=True):
        tables = {task: each for task, each in walk.skipped.items() if each.skipped}
        if not tables:
            continue
        skipped, audited, wrong = (
            sum(getattr(each, count) for each in tables.values()) for count in ("skipped", "audited", "wrong")
        )
        worst = max(tables, key=lambda task: tables[task].error_frac)
        yield (
            f"On the path {quoted([way.name])} {counted(skipped, 'answer')} {'was' if skipped == 1 else 'were'} not "
            f"asked for, since the points on both sides agreed on them. Of {audited:,} such answers that were asked "
            f"all the same {wrong:,} turned out otherwise; of those taken for decided at most "
            f"{number(100 * tables[worst].error_frac, 1)}% are wrong on any task (the most on {worst})."
        )
