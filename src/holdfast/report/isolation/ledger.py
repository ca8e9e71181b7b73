"""The table of entrants that hold scalars: a row each, over its seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from holdfast.report.diagnosis.ledger import Ledger, Row
from holdfast.report.isolation.phrases import percent
from holdfast.report.isolation.readings import Drift, Over, Reading
from holdfast.report.ledger import Cell, Column
from holdfast.report.wording import NONE, counted, sized

GROUPS = (
    (
        "held at the end",
        (
            ("of eligible", "Share of the scalars among which was chosen that the last choice holds"),
            ("of all", "The same of all scalars of the model"),
        ),
    ),
    (
        "choices",
        (
            ("number", "How often something was chosen, at which steps"),
            ("let go", "Share of what was held that a choice lets go, in the median over choices"),
        ),
    ),
    (
        "overlap",
        (
            ("neighbours", "Scalars in both over scalars in either, of choices that follow each other on record"),
            ("first and last", "The same of the first choice and the last"),
            ("chance", "The same of two random choices; below, if they were spread over the model like the last one"),
        ),
    ),
    (
        "cost",
        (
            ("a choice", "Time that choosing took, in the median"),
            ("memory", "Memory beyond plain training: averages, masks, kept values"),
        ),
    ),
)


def ledger_of(drifts: Sequence[Drift]) -> Ledger:
    """The table, in the order given."""
    columns = tuple(
        Column(title, hint, first=not place) for _, group in GROUPS for place, (title, hint) in enumerate(group)
    )
    rows = tuple(Row(drift.name, _kind(drift), _cells(drift)) for drift in drifts)
    return Ledger(tuple((heading, len(group)) for heading, group in GROUPS), columns, rows)


def _cells(drift: Drift) -> tuple[Cell, ...]:
    again = "needs two choices that hold something"
    return (
        _share(drift, lambda reading: reading.held_frac, "nothing was chosen"),
        _share(drift, lambda reading: reading.held_params_frac, "nothing was chosen"),
        _number(drift),
        _share(drift, lambda reading: reading.turnover_frac, again),
        _share(drift, lambda reading: reading.neighbour_jaccard, again),
        _share(drift, lambda reading: reading.ends_jaccard, again),
        _chance(drift),
        _seconds(drift),
        _memory(drift),
    )


def _share(drift: Drift, of: Callable[[Reading], float | None], reason: str) -> Cell:
    found = drift.over(of)
    if found is None:
        return Cell(NONE, (), None, reason)
    return Cell(percent(found.mean), _range(found, percent), found.mean, _by_seed(drift, of, percent))


def _number(drift: Drift) -> Cell:
    steps = [drift.shown.course.refreshes[place].step for place in drift.shown.places]
    if not steps:
        return Cell("0", (), 0.0)
    when = f"step {steps[0]:,}" if len(steps) == 1 else f"steps {steps[0]:,} to {steps[-1]:,}"
    made, listed = drift.shown.made, len(drift.shown.course.refreshes)
    return Cell(f"{made:,}", (when, *([f"{listed:,} on record"] if listed < made else [])), float(made))


def _chance(drift: Drift) -> Cell:
    found = drift.over(lambda reading: reading.course.chance_jaccard)
    alike = drift.over(lambda reading: reading.chance_within_jaccard)
    if found is None:
        return Cell(NONE, (), None, "the last choice holds nothing")
    return Cell(percent(found.mean), () if alike is None else (f"{percent(alike.mean)} spread alike",), found.mean)


def _seconds(drift: Drift) -> Cell:
    found = drift.over(lambda reading: reading.seconds)
    if found is None:
        return Cell(NONE, (), None, "nothing was chosen")
    return Cell(brief_seconds(found.mean), _range(found, brief_seconds), found.mean)


def _memory(drift: Drift) -> Cell:
    most = max(reading.course.extra_bytes for reading in drift.readings.values())
    return Cell(sized(most), (), float(most))


def brief_seconds(seconds: float) -> str:
    """A time to two digits that count, in seconds or milliseconds."""
    return (
        f"{1000 * seconds:.2g} ms" if seconds < 0.0995 else f"{seconds:.2g} s" if seconds < 99.5 else f"{seconds:.0f} s"
    )


def _kind(drift: Drift) -> str:
    return "random control" if drift.at_random else ""


def _range(found: Over, written: Callable[[float], str]) -> tuple[str, ...]:
    low, high = map(written, found.ends)
    return (f"{low} to {high}",) if low != high else ()


def _by_seed(drift: Drift, of: Callable[[Reading], float | None], written: Callable[[float], str]) -> str:
    if len(drift.readings) == 1:
        return ""
    lines = [(seed, of(reading)) for seed, reading in drift.readings.items()]
    told = "\n".join(f"seed {seed}: {NONE if value is None else written(value)}" for seed, value in lines)
    return f"{counted(len(lines), 'seed')}\n{told}"
