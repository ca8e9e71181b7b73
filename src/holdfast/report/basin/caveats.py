"""What must be minded before a measurement of basins is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from holdfast.core.basin import BasinCurve
from holdfast.report.basin.phrases import share_text, sigma_text
from holdfast.report.basin.seen import RANDOM, TOWARD, WORST, Seen, directions_of
from holdfast.report.wording import listed, quoted, sentence

ENOUGH_DIRECTIONS: Final = 16
"""Random directions from which on a band of the middle nine tenths means something."""

ENOUGH_ITEMS: Final = 50
MUCH_LOST_FRAC: Final = 0.05
MANY_ALIKE: Final = 2.0
"""Design effect from which on counting items as trials would be badly wrong."""


def caveats(view: Seen) -> tuple[str, ...]:
    """The notes, the weightiest first."""
    return tuple(_notes(view))


def _notes(view: Seen) -> Iterator[str]:
    yield from map(sentence, view.measurement.notes)
    yield from _on_scores(view)
    yield from _on_directions(view)
    yield from _on_widths(view)
    yield from _on_noise(view)
    yield from _on_tuned(view)


def _on_scores(view: Seen) -> Iterator[str]:
    if smooth := _abilities(view, lambda curve: curve.smooth):
        yield (
            f"Scores of {quoted(smooth)} are likelihoods, along which everything falls smoothly: there is no basin to "
            "be seen, and no width is claimed."
        )
    if noisy := _abilities(view, lambda curve: bool(curve.self_noise)):
        worst = max(curve.self_noise or 0.0 for curve in view.measurement.curves)
        yield (
            f"Asked twice, the untouched model answers up to {share_text(worst)} of the items of {quoted(noisy)} "
            "otherwise: losses as small as that say nothing."
        )
    once = _abilities(view, lambda curve: curve.direction == RANDOM and curve.self_noise is None)
    if once:
        yield f"The untouched model was asked once about {quoted(once)}: its own noise is not known."
    few = _abilities(view, lambda curve: curve.items < ENOUGH_ITEMS)
    if few:
        least = min(curve.items for curve in view.measurement.curves)
        yield f"Few items of {quoted(few)} (the fewest {least}): this holds for them, not for the ability."


def _on_directions(view: Seen) -> Iterator[str]:
    random = [curve for curve in view.measurement.curves if curve.direction == RANDOM]
    count = min((directions_of(curve.levels) for curve in random), default=ENOUGH_DIRECTIONS)
    if count == 1:
        yield "One random direction: the curves have no band, and another direction may look otherwise."
    elif count < ENOUGH_DIRECTIONS:
        yield f"Only {count} random directions: bands are too narrow; {ENOUGH_DIRECTIONS} or more mean something."
    single = [
        kind
        for kind in view.directions
        if (kind == WORST or kind.startswith(TOWARD))
        and all(directions_of(curve.levels) == 1 for curve in view.measurement.curves if curve.direction == kind)
    ]
    if single:
        yield (
            f"A single direction each, so without a band: {listed([view.called(kind) for kind in single])}."
            + (" A worse direction than the one that was found may exist." if WORST in single else "")
        )


def _on_widths(view: Seen) -> Iterator[str]:
    for width in view.measurement.widths:
        if width.reason is not None:
            yield f"The width of {quoted([width.ability])}: {width.reason}."
    rising = _abilities(view, lambda curve: bool(curve.rises))
    if rising:
        yield (
            f"The mean score of {quoted(rising)} rises again further out, by more than noise explains: a width takes "
            "it to fall with the distance."
        )
    alike = _abilities(view, lambda curve: any((each.design_effect or 0.0) > MANY_ALIKE for each in curve.levels))
    if alike:
        yield (
            f"Items of {quoted(alike)} that share a direction are answered alike: directions were counted, not items."
        )


def _on_noise(view: Seen) -> Iterator[str]:
    found = view.measurement
    lost = [(sigma, frac) for sigma, frac in found.lost_frac if frac > MUCH_LOST_FRAC]
    if lost:
        sigma, frac = max(lost, key=lambda each: each[1])
        yield (
            f"Rounding to the type of the weights swallowed up to {share_text(frac)} of the noise (at sigma "
            f"{sigma_text(sigma)}): a score is that of the rounded weights, and nearby distances are shorter than told."
        )


def _on_tuned(view: Seen) -> Iterator[str]:
    if view.tuned:
        yield (
            "Where a fine-tune stands beside a width compares its distance with random moves; what it lost itself was "
            "measured, in pairs."
        )
    bare = [view.names[each.tuned] for each in view.measurement.verdicts if each.matched is None]
    if bare:
        yield f"No random move of the same length was asked beside {listed(list(dict.fromkeys(bare)), most=6)}."


def _abilities(view: Seen, holds: Callable[[BasinCurve], bool]) -> list[str]:
    return [ability for ability in view.abilities if any(holds(curve) for curve in view.curves(ability))]
