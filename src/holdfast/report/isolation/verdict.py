"""Whether the choice of held scalars drifted, in words.

A choice can move for two reasons: what matters to the loss moves, or the estimate of it is noisy. Drift goes on: the
longer ago the first choice was, the less of it is held. Noise does not: beyond the memory of the average, as much of it
is held however long ago it was. So the end of a training is held against half way, and both against chance and against
a choice that never moves. An average that remembers the whole training hides the difference; how long it remembers is
not in the course, so the page tells its reader to mind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from holdfast.report.isolation.phrases import percent, spread
from holdfast.report.isolation.readings import Drift
from holdfast.report.wording import counted, listed

Known = TypeVar("Known")

MOST_LINES = 6
"""Entrants with a line of their own; of more the rest is in the table."""

FAR_SD = 4.0
"""Standard deviations that random choices do not stray from chance."""

STILL_FRAC = 0.95
"""Who holds so much of its first choice to the end hardly moved."""

LEVEL_FRAC = 0.1
"""Who loses no more than this of what is left beyond chance, from half way to the end, has levelled off."""


def isolation_verdict(drifts: Sequence[Drift]) -> tuple[str, ...]:
    """What became of the choices, in lines: who drifted, who never chose anew, and whether controls are at chance."""
    again = [drift for drift in drifts if drift.choices > 1]
    moving = [drift for drift in again if not drift.at_random]
    return (
        *(_moved(drift) for drift in moving[:MOST_LINES]),
        *_more(moving[MOST_LINES:]),
        *_once([drift for drift in drifts if drift.choices == 1]),
        *_controls([drift for drift in again if drift.at_random]),
        *_never([drift for drift in drifts if not drift.choices]),
    )


def notes_of(drifts: Sequence[Drift]) -> tuple[str, ...]:
    """What must be known of how importance was seen, each once, with the entrants that it is about."""
    found: dict[str, list[str]] = {}
    for drift in drifts:
        notes = (note for reading in drift.readings.values() for note in reading.course.notes)
        for note in dict.fromkeys(notes):
            found.setdefault(note, []).append(drift.name)
    return tuple(f"{listed(names, MOST_LINES)}: {note}" for note, names in found.items())


def _moved(drift: Drift) -> str:
    """How far an entrant that chose anew came."""
    readings, chance = drift.readings.values(), _chance(drift)
    if all(reading.kept_frac(pair) == 1 for reading in readings for pair in reading.neighbours):
        return f"{drift.name} chose {drift.shown.made:,} times, and took the same scalars every time."
    beside = spread(_known(drift.over(lambda reading: reading.neighbour_kept_frac)))
    if not _far(drift.above_chance_sd(lambda reading: reading.neighbours)):
        return (
            f"{drift.name} chooses as if at random: of one choice the next holds {beside}, and of random ones it would "
            f"hold {percent(chance)}."
        )
    ends, half = _known(drift.over(lambda r: r.ends_kept_frac)), drift.over(lambda r: r.half_kept_frac)
    held = f"of what it held at step {_step(drift, 0):,}, {spread(ends)} are held at step {_step(drift, -1):,}"
    random, steady = (
        f"of random choices {percent(chance)} would be",
        f"From one choice to the next {beside} stay in the median.",
    )
    if ends.mean >= STILL_FRAC:
        return f"{drift.name} hardly moves: {held}; {random}."
    if half is None:
        return f"{drift.name} moved: {held}; {random}. From two choices it cannot be told whether it moves on."
    if not _far(drift.above_chance_sd(lambda reading: () if reading.ends is None else (reading.ends,))):
        return f"{drift.name} drifts until what is left of its first choice may be chance: {held}; {random}. {steady}"
    middle = drift.shown.course.refreshes[_known(drift.shown.half_way)[1]].step
    before = f"{held}, and {spread(half)} were at step {middle:,}; {random}. {steady}"
    if half.mean - ends.mean <= LEVEL_FRAC * (half.mean - chance):
        return f"{drift.name} moves but does not drift on: {before}"
    return f"{drift.name} drifts: {before}"


def _more(rest: Sequence[Drift]) -> Iterator[str]:
    if rest:
        yield f"{counted(len(rest), 'further entrant')} that chose anew can be looked up in the table."


def _once(static: Sequence[Drift]) -> Iterator[str]:
    if static:
        told = [f"{drift.name} (at step {_step(drift, 0):,})" for drift in static]
        yield f"Chose once and never anew: {listed(told, MOST_LINES)}."


def _controls(controls: Sequence[Drift]) -> Iterator[str]:
    """Whether random choices share what chance gives, and who does not."""
    whole = [drift.name for drift in controls if drift.shown.of_whole_parts]
    if whole:
        yield (
            f"Not held against chance, which is that of single scalars: {listed(whole, MOST_LINES)}, where whole parts "
            "of the model are drawn at random."
        )
    there = []
    for drift in controls:
        if drift.name in whole:
            continue
        distance = drift.above_chance_sd(lambda reading: reading.neighbours)
        if distance is None or abs(distance) <= FAR_SD:
            there.append(drift.name)
        else:
            beside, chance = spread(_known(drift.over(lambda r: r.neighbour_kept_frac))), percent(_chance(drift))
            yield (
                f"{drift.name} is a random control and does not sit at chance: {beside} stay from one choice to the "
                f"next, where {chance} are expected, {abs(distance):,.0f} standard deviations off. Its choices are not "
                "drawn independently of each other, so do not hold others against it."
            )
    if there:
        yield f"At chance, as random controls should be: {listed(there, MOST_LINES)}."


def _never(empty: Sequence[Drift]) -> Iterator[str]:
    if empty:
        yield f"Held nothing: {listed([drift.name for drift in empty], MOST_LINES)}."


def _chance(drift: Drift) -> float:
    return _known(drift.over(lambda reading: reading.held_frac)).mean


def _far(distance: float | None) -> bool:
    """Whether choices share more than random ones; where all share the same, they do not."""
    return distance is not None and distance > FAR_SD


def _step(drift: Drift, place: int) -> int:
    """When a choice that held something was made, in the training that is drawn."""
    return drift.shown.course.refreshes[drift.shown.places[place]].step


def _known(found: Known | None) -> Known:
    assert found is not None, "choices that hold something have it"
    return found
