"""Whether to rewind and what that keeps and undoes, in a few lines of plain words."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.core.rewinding import CHOSEN, UNSEEN
from holdfast.report.rewinding.matched import Match
from holdfast.report.rewinding.phrases import finding, place, told, told_percent, told_signed, turned
from holdfast.report.rewinding.ways import Rewound
from holdfast.report.wording import counted, listed, number, quoted, sentence

ENOUGH_SHARE = 0.005
"""A share of what was forgotten that is less than this is not worth a sentence: it is written as 0%."""

OPEN = ("undecided", "undefined")
"""How statements on overshoot begin where it cannot be told."""


def headline(view: Rewound) -> str:
    """What to do."""
    if view.chosen.t == 0:
        return sentence(view.found.verdict).removesuffix(".")
    if view.chosen is view.final:
        return "Do not rewind"
    kept = told_percent(finding(view.found, CHOSEN, "gain_kept"))
    keeps = f"keeps {kept} of the gain" if kept else f"gains {told(view.chosen.standing.gain)}"
    return f"Rewind to {place(view.chosen.t)}: {keeps} and {_undoes(view)}"


def verdict_of(view: Rewound) -> tuple[str, ...]:
    """What was found, a line each, the weightiest first."""
    return (
        _where(view),
        _how(view),
        _overshoot(view.found.overshoot),
        _unseen(view),
        *_tested(view),
        *(_rival(match) for match in view.by_step),
    )


def _undoes(view: Rewound) -> str:
    share = finding(view.found, CHOSEN, "recovered_share")
    if (percent := told_percent(share)) and share.value is not None and share.value >= ENOUGH_SHARE:
        return f"undoes {percent} of what was forgotten"
    recovered = finding(view.found, CHOSEN, "recovered")
    if recovered.value is None:
        return "nothing is known of what was forgotten"
    return f"forgetting changes by {told_signed(turned(recovered))}"


def _where(view: Rewound) -> str:
    base, chosen, final = (each.standing for each in (view.base, view.chosen, view.final))
    path = quoted([view.ways[0].name])
    if view.chosen is view.base:
        return (
            f"The base itself is chosen on the path {path}: the finished checkpoint has a target score of "
            f"{number(final.target)} instead of {number(base.target)}, a gain of {told(final.gain)}; its forgetting is "
            f"{told(final.forgetting)}."
        )
    if view.chosen is view.final:
        return (
            f"The finished checkpoint, the end of the path {path}, is chosen: target score {number(final.target)}, "
            f"{number(base.target)} at the base; forgetting {told(final.forgetting)}."
        )
    return (
        f"At t = {place(view.chosen.t)} of the path {path}, {number(view.chosen.step_frac)} of the way by the norm of "
        f"the update: target score {number(chosen.target)}, {number(base.target)} at the base and "
        f"{number(final.target)} at the end; forgetting {told(chosen.forgetting)} instead of {told(final.forgetting)}."
    )


def _how(view: Rewound) -> str:
    found, held = view.found, view.held
    split = found.walk.points[0].scores.split
    items = [f"{counted(held.count(held.learn), f'{split} item')} of {listed(found.learn)}"]
    if found.keep:
        items.append(f"{held.count(found.keep):,} of {counted(len(found.keep), 'task')} to be kept")
    among = [each for each in view.ways[0].places if not each.beyond]
    rivals = sum(way.evaluations for way in view.ways[1:])
    beside = f" and {rivals} on other paths" if rivals else ""
    return (
        f"Chosen by {found.rule} among {counted(len(among), 'point')}, on {listed(items)}; "
        f"{counted(found.walk.evaluations, 'evaluation')} on this path{beside}, the base not counted."
    )


def _overshoot(said: str) -> str:
    """What was said of an overshoot, as a sentence that tells what it is about."""
    if said.startswith(OPEN):
        return sentence(f"whether the finished checkpoint overshot is {said}")
    return sentence(said)


def _unseen(view: Rewound) -> str:
    gain, lead, lost, undone = (
        finding(view.found, UNSEEN, quantity) for quantity in ("gain", "lead", "forgetting", "recovered")
    )
    if gain.value is None:
        return f"Of items that did not choose nothing can be said: {told(gain)}."
    forgotten = (
        f"forgetting {told(lost)}, {told_signed(turned(undone))} against the end"
        if lost.value is not None
        else told(lost)
    )
    return (
        f"On items that did not choose (half of them chooses, the other half tells): gain {told(gain)}, "
        f"{told_signed(lead)} against the end; {forgotten}."
    )


def _tested(view: Rewound) -> Iterator[str]:
    if view.tested is None:
        return
    seen = view.tested
    asked = f"On test items, which took no part in the choice ({seen.held.count(seen.held.learn):,} of the target)"
    if not view.inside:
        yield (
            f"{asked}: the finished checkpoint gains {told(seen.final.gain)} and forgets {told(seen.final.forgetting)}."
        )
        return
    share = told_percent(seen.gain_kept)
    of_it = f", {share} of the final gain" if share else ""
    yield (
        f"{asked}: gain {told(seen.chosen.gain)}{of_it}; forgetting {told(seen.chosen.forgetting)}, "
        f"{told_signed(turned(seen.recovered))} against the end."
    )


def _rival(match: Match) -> str:
    name = quoted([match.crossing.name])
    if match.standing is None or match.lead is None or match.lost is None:
        return f"The path {name} cannot be compared at that step: {match.crossing.reason}."
    return (
        f"As far from the base as the chosen point, the path {name} differs from it in target score by "
        f"{told_signed(match.lead)} and in forgetting by {told_signed(match.lost)}."
    )
