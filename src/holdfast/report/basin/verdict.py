"""What breaks first, and what which fine-tune left, in a few lines of plain words."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.core.basin import BasinCurve, BasinVerdict, BasinWidth
from holdfast.core.certificate import Certificate
from holdfast.report.basin.phrases import is_narrower, sigma_text, told, width_text, within_text
from holdfast.report.basin.seen import RANDOM, WORST, Seen, certificates_of, directions_of
from holdfast.report.wording import counted, listed, number, quoted

MOST_NAMED = 4
MOST_IN_HEADLINE = 2
WHERE = {
    "outside": "outside the basin of",
    "undecided": "not known whether outside that of",
    "inside": "inside the basin of",
}


def headline(view: Seen) -> str:
    """Which ability breaks first, and which fine-tunes left a basin."""
    return f"{_first(view)}{_left(view)}"


def verdict_of(view: Seen) -> tuple[str, ...]:
    """What was found, a line each, the weightiest first."""
    return tuple(_lines(view))


def level_with(view: Seen) -> tuple[str, ...]:
    """Abilities whose width cannot be told from the narrowest one, which is not among them."""
    found = _widths(view)
    if not found or found[0].high is None:
        return tuple(width.ability for width in found[1:])
    high = found[0].high
    return tuple(width.ability for width in found[1:] if width.low is None or width.low < high)


def _widths(view: Seen) -> list[BasinWidth]:
    """Widths of which an end is known, the narrowest first."""
    found = [view.width(ability) for ability in view.abilities]
    return [width for width in found if width is not None and (width.low is not None or width.high is not None)]


def _first(view: Seen) -> str:
    found = _widths(view)
    if not found:
        what = quoted(view.abilities) if view.abilities else "any ability"
        return f"No width was found of the basin of {what}"
    first, level = found[0], level_with(view)
    where = f"{quoted([first.ability])} breaks {within_text(first)}"
    if len(found) == 1:
        return f"Under random moves {where}"
    if level:
        return f"{quoted([first.ability, *level])} cannot be told apart in width; {where}"
    known = "Of those whose width is known, " if _unknown(view) else ""
    return f"{known}{quoted([first.ability])} breaks first under random moves, {within_text(first)}"


def _unknown(view: Seen) -> list[str]:
    """Abilities that have a basin of which neither end is known."""
    known = {width.ability for width in _widths(view)}
    smooth = {curve.ability for curve in view.measurement.curves if curve.smooth}
    return [ability for ability in view.abilities if ability not in known | smooth]


def _left(view: Seen) -> str:
    if not view.tuned:
        return ""
    left = {tuned: _abilities(view, tuned, "outside") for tuned in view.tuned}
    out = {tuned: names for tuned, names in left.items() if names}
    if not out:
        unknown = any(_abilities(view, tuned, "undecided") for tuned in view.tuned)
        many = len(view.tuned) > 1
        if broken := sum(bool(_lost_inside(view, tuned)) for tuned in view.tuned):
            lost = f"lost more than {number(view.measurement.tolerance, 2)} all the same"
            if not many:
                return f"; the fine-tune did not go as far, and {lost}"
            return f"; no fine-tune went as far, and {broken} of {len(view.tuned)} {lost}"
        if unknown:
            return "; no fine-tune is known to have left a basin" if many else "; whether the fine-tune left is open"
        return "; no fine-tune left a basin" if many else "; the fine-tune stayed inside"
    if len(out) > MOST_NAMED:
        return f"; {len(out)} of {counted(len(view.tuned), 'fine-tune')} left a basin"
    parts = [f"{view.names[tuned]} left {_basins(view, tuned, names)}" for tuned, names in out.items()]
    return f"; {listed(parts)}"


def _basins(view: Seen, tuned: str, names: list[str]) -> str:
    """The basins that were left: by name if they are few, and counted otherwise."""
    asked = sum(view.verdict(ability, tuned) is not None for ability in view.abilities)
    if len(names) <= MOST_IN_HEADLINE:
        return f"that of {quoted(names)}"
    return f"all {asked} basins" if len(names) == asked else f"{len(names)} of {asked} basins"


def _abilities(view: Seen, tuned: str, verdict: str) -> list[str]:
    found = ((ability, view.verdict(ability, tuned)) for ability in view.abilities)
    return [ability for ability, each in found if each is not None and each.verdict == verdict]


def _lines(view: Seen) -> Iterator[str]:
    yield from _order(view)
    yield from _worst(view)
    for tuned in view.tuned:
        yield from _of_tuned(view, tuned)
    yield from _certified(view)


def _order(view: Seen) -> Iterator[str]:
    found = _widths(view)
    if not found:
        for width in view.measurement.widths:
            yield f"Of {quoted([width.ability])} no width is known: {width.reason}."
        return
    first = found[0]
    others = [f"{quoted([each.ability])} {width_text(each)}" for each in found[1:]]
    each_one = ", each by itself" if others else ""
    yield (
        f"Along random directions the basin of {quoted([first.ability])} ends {within_text(first)}, a length of "
        f"{_lengths(view, first)} ({first.question}; at least {100 * first.level:g}% sure{each_one})"
        f"{f'; that of {listed(others, most=8)}' if others else ''}."
    )
    if level := level_with(view):
        yield f"The intervals of {quoted([first.ability, *level])} overlap: which of them breaks first is not known."
    if unknown := _unknown(view):
        they = "it" if len(unknown) == 1 else "they"
        yield f"Of {quoted(unknown)} no width is known: {they} may be narrower still, or wider."


def _lengths(view: Seen, width: BasinWidth) -> str:
    ends = [sigma_text(view.length(end)) for end in (width.low, width.high) if end is not None]
    return " to ".join(ends)


def _worst(view: Seen) -> Iterator[str]:
    """How much nearer the worst direction breaks an ability than random ones, as read off both curves."""
    pairs = [(view.curve(ability, RANDOM), view.curve(ability, WORST)) for ability in view.abilities]
    found = [(random, worst) for random, worst in pairs if random is not None and worst is not None]
    where: dict[str, list[str]] = {}
    for random, worst in found:
        if not worst.smooth:
            where.setdefault(_nearer(random, worst), []).append(worst.ability)
    if where:
        count = min(directions_of(worst.levels) for _, worst in found)
        one = "one, so without an interval" if count == 1 else f"of {count}, on average"
        parts = [f"{quoted(names)} {at}" for at, names in where.items()]
        yield f"The worst direction that was found ({one}) breaks {'; '.join(parts)}. Read off the curves."


def _nearer(random: BasinCurve, worst: BasinCurve) -> str:
    far, near = random.soft_width.value, worst.soft_width.value
    if near is None:
        first, last = worst.levels[0], worst.levels[-1]
        gone = is_narrower(worst.soft_width)
        return f"before sigma {sigma_text(first.sigma)}" if gone else f"not before sigma {sigma_text(last.sigma)}"
    at = f"at sigma {sigma_text(near)}"
    return at if far is None else f"{at}, {far / near:.3g} times nearer than random ones"


def _of_tuned(view: Seen, tuned: str) -> Iterator[str]:
    found = [each for ability in view.abilities if (each := view.verdict(ability, tuned)) is not None]
    name, first = view.names[tuned], found[0]
    parts = [
        f"{WHERE[verdict]} {f'all {len(found)} abilities' if len(names) == len(found) > 1 else quoted(names)}"
        for verdict in WHERE
        if (names := [each.ability for each in found if each.verdict == verdict])
    ]
    yield (
        f"Fine-tune {name}, at sigma {sigma_text(first.sigma)} (length {sigma_text(first.displacement)}): "
        f"{'; '.join(parts)}. {_loss(found)}"
    )
    yield from _surprises(view, name, found)


def _loss(found: list[BasinVerdict]) -> str:
    """What it lost most of, beside random moves as far."""
    known = [each for each in found if each.drop.value is not None]
    if not known:
        return f"What it lost is not known: {found[0].drop.reason}."
    most = max(known, key=lambda each: each.drop.value or 0.0)
    of_which = f"most of {quoted([most.ability])}, " if len(known) > 1 else ""
    beside = "" if most.matched is None else f"; random moves as far lost {told(most.matched)}"
    if (most.drop.value or 0.0) <= 0:
        return f"It lost nothing that was measured{beside}."
    return f"It lost {of_which}{told(most.drop)}{beside}."


def _surprises(view: Seen, name: str, found: list[BasinVerdict]) -> Iterator[str]:
    """Fine-tunes whose distance says one thing and whose score another."""
    tolerance = view.measurement.tolerance
    lost = _lost_inside(view, found[0].tuned)
    kept = [e.ability for e in found if e.verdict == "outside" and e.drop.spread and e.drop.spread[1] <= tolerance]
    if lost:
        yield (
            f"Though inside by its distance, {name} lost more than {number(tolerance, 2)} of {quoted(lost)}: the "
            "way it went breaks them sooner than random ways do."
        )
    if kept:
        yield (
            f"Though outside by its distance, {name} lost no more than {number(tolerance, 2)} of {quoted(kept)}: the "
            "way it went breaks them later than random ways do."
        )


def _lost_inside(view: Seen, tuned: str) -> list[str]:
    """Abilities of which a fine-tune surely lost more than the tolerance without going as far as they are wide."""
    found = [each for ability in view.abilities if (each := view.verdict(ability, tuned)) is not None]
    tolerance = view.measurement.tolerance
    return [e.ability for e in found if e.verdict == "inside" and e.drop.spread and e.drop.spread[0] > tolerance]


def _certified(view: Seen) -> Iterator[str]:
    found = certificates_of(view)
    telling = [each for each in found if not each.vacuous]
    if not found:
        return
    if not telling:
        many = f"All {len(found)} certificates are" if len(found) > 1 else "The certificate is"
        yield f"{many} vacuous: of a fine-tune that is not yet seen nothing is guaranteed."
        return
    best = max(telling, key=_strength)
    at, kept = (best.displacement, best.strong) if best.strong is not None else (best.radius, best.keep)
    vacuous = len(found) - len(telling)
    what = "mean score" if best.threshold is None else f"share of directions that score {best.threshold:.3g}"
    yield (
        f"{vacuous} of {counted(len(found), 'certificate')} {'is' if vacuous == 1 else 'are'} vacuous. The one that "
        f"keeps most: under noise on {best.space} the {what} of {quoted([best.ability])} stays at "
        f"{number(kept or 0.0)} for any move there of length {sigma_text(at or 0.0)}. It bounds the model "
        "under noise, never the fine-tune itself."
    )


def _strength(each: Certificate) -> tuple[bool, float]:
    """How much a certificate says; one of a move of interest says more than one without."""
    floor = each.score_floor
    return (True, floor - each.chance) if floor is not None else (False, each.keep)
