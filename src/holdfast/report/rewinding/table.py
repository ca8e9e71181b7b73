"""The points of the path in a table of a few lines, for a terminal and for Markdown."""

from __future__ import annotations

from holdfast.report.rewinding.ledger import BEYOND, CHOSEN, FINISHED
from holdfast.report.rewinding.phrases import place, told
from holdfast.report.rewinding.ways import Place, Rewound
from holdfast.report.short import ShortTable
from holdfast.report.wording import NONE, number

MOST = 12
"""Rows; of a path with more points those nearest to the chosen one by their step are shown, and its ends."""


def point_table(view: Rewound) -> ShortTable:
    """The points of the path on which the point was chosen."""
    places = _shown(view)
    measured = any(each.kl_nats is not None for each in places)
    columns = ("", "target", "forgetting", "step", *(("KL",) if measured else ()))
    return ShortTable(columns, tuple(_row(each, view, measured) for each in places))


def legend(view: Rewound) -> str:
    """What the numbers of the table mean."""
    kl = ", KL in nats per token" if any(each.kl_nats is not None for each in view.ways[0].places) else ""
    return (
        f"Points of the path '{view.ways[0].name}'. Target is the mean score, forgetting the base's mean score on what "
        f"was to be kept minus this one, with 95% intervals; step is the norm of the update, of that of the whole{kl}."
    )


def styles(view: Rewound) -> list[str]:
    """Style of each row for rich: the chosen point is bold, what takes no part is dim."""
    return ["bold" if each is view.chosen else "dim" if each.beyond else "" for each in _shown(view)]


def _shown(view: Rewound) -> list[Place]:
    places = view.ways[0].places
    ends = [view.base, view.final]
    inner = sorted(places[1:-1], key=lambda each: abs(each.step_frac - view.chosen.step_frac))[: MOST - len(ends)]
    kept = {each.label for each in (*ends, *inner)}
    return [each for each in places if each.label in kept]


def _row(each: Place, view: Rewound, measured: bool) -> tuple[str, ...]:
    marks = [
        text
        for text, holds in (
            ("base", each is view.base),
            (CHOSEN, each is view.chosen),
            (FINISHED, each is view.final),
            (BEYOND, each.beyond),
        )
        if holds
    ]
    cells = [
        f"{place(each.t)} {', '.join(marks)}".rstrip(),
        number(each.standing.target),
        "" if each is view.base else told(each.standing.forgetting) if view.found.keep else NONE,
        number(each.step_frac),
    ]
    if measured:
        cells.append("" if each.kl_nats is None else number(each.kl_nats))
    return tuple(cells)
