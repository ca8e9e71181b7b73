"""The section of a model card that says what a rewound checkpoint kept."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from holdfast.core.errors import BadData
from holdfast.report.rewinding.held import Held, Standing
from holdfast.report.rewinding.phrases import checkpoint, place
from holdfast.report.rewinding.ways import Rewound
from holdfast.report.short import ShortTable, markdown
from holdfast.report.wording import base_name, counted, listed, number
from holdfast.report.writing import write_report

BEGIN: Final = "<!-- holdfast: what it kept -->"
END: Final = "<!-- holdfast: end of what it kept -->"
"""Between these the section is replaced; everything else is left as it is."""

EMPTY: Final = "---\ntags: [holdfast]\n---\n"


def write_card(view: Rewound, card: Path) -> None:
    """Put the section into a model card, in the place of an earlier one or at the end; make the card if it is missing.

    Args:
        view: What was found.
        card: The README.md beside the checkpoint.

    Raises:
        BadData: If the card is not text in UTF-8, or holds half of an earlier section.
    """
    try:
        before = card.read_bytes().decode() if card.is_file() else EMPTY
    except UnicodeDecodeError as error:
        raise BadData(f"{card} is not text in UTF-8: convert it, or move it away to have a new one") from error
    write_report(card.parent, {}, {card.name: _replaced(before, what_it_kept(view), card)})


def what_it_kept(view: Rewound) -> str:
    """The section, with the comments between which it stands."""
    found, split = view.found, view.found.walk.points[0].scores.split
    blocks = [
        BEGIN,
        "## What it kept",
        f"This is the point at t = {place(view.chosen.t)} of the path `{found.walk.path}` from {base_name(found.base)} "
        f"(t = 0) to the finished checkpoint `{checkpoint(found)}` (t = 1), {number(view.chosen.step_frac)} of the way "
        f"by the norm of the update. It was chosen by the rule `{found.rule}` on {split} items.",
        markdown(_table(view)),
        _legend(view),
        _unseen(view),
        END,
    ]
    return "\n\n".join(blocks)


def _table(view: Rewound) -> ShortTable:
    split = view.found.walk.points[0].scores.split
    sides: list[tuple[str, tuple[Standing, ...]]] = [
        (split, (view.base.standing, view.chosen.standing, view.final.standing))
    ]
    if view.tested is not None:
        sides.append(("test", (view.tested.base, view.tested.chosen, view.tested.final)))
    several = len(sides) > 1
    columns = [
        f"{who} ({side})" if several else who for side, _ in sides for who in ("base", "this checkpoint", "finished")
    ]
    standings = [each for _, side in sides for each in side]
    rows = [
        (f"{task} ({role})", *(number(each.scores[task]) for each in standings))
        for role, tasks in (("learned", view.found.learn), ("kept", view.found.keep))
        for task in tasks
    ]
    return ShortTable(("task", *columns), tuple(rows))


def _legend(view: Rewound) -> str:
    held, split = view.held, view.found.walk.points[0].scores.split
    nats = [task for task, unit in held.units.items() if unit == "nats/token"]
    texts = f"; of {listed(nats)} log-likelihoods in nats per token" if nats else ""
    counts = [_counted(held, split), *([] if view.tested is None else [_counted(view.tested.held, "test")])]
    return f"Mean scores from 0 to 1{texts}; higher is better. Asked were {listed(counts)}."


def _counted(held: Held, split: str) -> str:
    learned = counted(held.count(held.learn), f"{split} item")
    return f"{learned} of what was to be learned and {held.count(held.keep):,} of what was to be kept"


def _unseen(view: Rewound) -> str:
    """What was not looked at."""
    test = "" if view.tested is not None else " No test items were asked: the items of the table chose the point."
    return (
        "Not looked at: whatever is not in the table, such as other abilities, other languages, safety, longer texts "
        f"and sampled answers; about these it says nothing.{test}"
    )


def _replaced(before: str, section: str, card: Path) -> str:
    begins, ends = before.count(BEGIN), before.count(END)
    if begins == ends == 0:
        gap = "\n" if before.endswith("\n") else "\n\n"
        return f"{before}{gap}{section}\n"
    start, stop = before.find(BEGIN), before.find(END)
    if begins != 1 or ends != 1 or stop < start:
        raise BadData(
            f"{card} holds {begins} of '{BEGIN}' and {ends} of '{END}', which belong together once and in this order: "
            "take them out by hand"
        )
    return f"{before[:start]}{section}{before[stop + len(END) :]}"
