"""The tables of the page: how wide every basin is, and where every fine-tune stands."""

from __future__ import annotations

from dataclasses import replace

from holdfast.core.basin import BasinCurve, BasinVerdict, BasinWidth
from holdfast.core.record import Record
from holdfast.report.basin.phrases import interval_text, is_narrower, sigma_text, told, width_text
from holdfast.report.basin.seen import RANDOM, WORST, Seen, middle_of
from holdfast.report.diagnosis.ledger import Ledger, Row
from holdfast.report.ledger import Cell, Column
from holdfast.report.wording import NONE, number, typeset

WHERE = {"inside": "inside", "outside": "outside", "undecided": "not known"}


def width_ledger(view: Seen) -> Ledger:
    """How wide every basin is, how that was decided, and what it took; the narrowest first."""
    groups = (
        (
            "width along random directions",
            (
                Column("sigma", "Between these standard deviations of the noise the width lies", first=True),
                Column("length", "The same as a length over all coordinates: sigma times the root of their number"),
            ),
        ),
        (
            "read off the curves, sigma",
            (
                Column("mean", "How far the mean drop stays within the tolerance, random directions", first=True),
                Column("strict", "How far nearly all directions score no less than the base"),
                Column("worst", "How far the drop along the worst direction stays within the tolerance"),
            ),
        ),
        (
            "decided by",
            (
                Column("question and test", "What was asked at every distance, and the sequential test", first=True),
                Column("error", "Chance that the width lies outside of its interval, at most, over all distances"),
            ),
        ),
        (
            "asked",
            (
                Column("distances", "At how many distances it was decided", first=True),
                Column("directions", "Along how many directions together"),
                Column("answers", "How many answers were graded for the width"),
            ),
        ),
        (
            "scores",
            (
                Column("base", "Score of the model as it is", first=True),
                Column("guess", "Score of a guess that knows nothing"),
                Column("items", "How many items were asked in every direction of the curves"),
            ),
        ),
    )
    rows = [
        Row(ability, "", tuple(_width_cells(view, ability, width)))
        for ability in view.abilities
        for width in (_all_widths(view, ability) or [None])
    ]
    return _filled(groups, rows)


def verdict_ledger(view: Seen) -> Ledger | None:
    """Where every fine-tune stands beside every basin; nothing without fine-tunes."""
    if not view.tuned:
        return None
    columns = (
        Column("sigma", "How far it went: its length over the root of the number of coordinates", first=True),
        Column("length", "How far it went, over all coordinates"),
        Column("basin", "Width of the basin along random directions, sigma", first=True),
        Column("stands", "Its distance beside the interval of the width"),
        Column("lost", "What it scores less than the base on the same items; 95% interval over items", first=True),
        Column("random", "The same for random moves of the same length"),
        Column("kept surely", "Mean score under noise that was certain beforehand, and of a guess", first=True),
    )
    rows = [
        Row(f"{view.names[tuned]} \N{MIDDLE DOT} {ability}", "", tuple(_verdict_cells(view, each)))
        for tuned in view.tuned
        for ability in view.abilities
        if (each := view.verdict(ability, tuned)) is not None
    ]
    groups = (("displacement", 2), ("against random moves", 2), ("measured", 2), ("certified", 1))
    return Ledger(groups, columns, tuple(rows))


def width_cell(width: BasinWidth | None) -> Cell:
    """Between which distances a width lies, with why an end of it is missing."""
    if width is None:
        return Cell(NONE, (), None, "no width was looked for")
    return Cell(width_text(width), (), middle_of(width), width.reason or "")


def _filled(groups: tuple[tuple[str, tuple[Column, ...]], ...], rows: list[Row]) -> Ledger:
    """A table without the columns that nobody fills."""
    everywhere = [(heading, column) for heading, group in groups for column in group]
    kept = [n for n in range(len(everywhere)) if any(row.cells[n].main for row in rows)]
    headings = [everywhere[n][0] for n in kept]
    columns = [
        replace(everywhere[n][1], first=not place or headings[place - 1] != headings[place])
        for place, n in enumerate(kept)
    ]
    counts = tuple((heading, headings.count(heading)) for heading in dict.fromkeys(headings))
    return Ledger(counts, tuple(columns), tuple(replace(row, cells=tuple(row.cells[n] for n in kept)) for row in rows))


def _all_widths(view: Seen, ability: str) -> list[BasinWidth | None]:
    return [width for width in view.measurement.widths if width.ability == ability]


def _width_cells(view: Seen, ability: str, width: BasinWidth | None) -> list[Cell]:
    random, worst = view.curve(ability, RANDOM), view.curve(ability, WORST)
    scores = view.base_scores.get(ability)
    return [
        *_interval_cells(view, width),
        _read_off(random),
        _read_off(random, strict=True),
        _read_off(worst),
        *_test_cells(width),
        *_score_cells(scores),
    ]


def _interval_cells(view: Seen, width: BasinWidth | None) -> list[Cell]:
    if width is None:
        return [width_cell(None), Cell(NONE)]
    order = middle_of(width)
    lengths = [sigma_text(view.length(end)) for end in (width.low, width.high) if end is not None]
    below = (width.reason,) if order is None and width.reason else ()
    return [
        replace(width_cell(width), below=below),
        Cell(" to ".join(lengths) or NONE, (), None if order is None else view.length(order)),
    ]


def _test_cells(width: BasinWidth | None) -> list[Cell]:
    if width is None or not width.steps:
        return [Cell() for _ in range(5)]
    steps = "\n".join(
        f"sigma {sigma_text(step.sigma)}: {WHERE[step.verdict]}, {step.directions} directions, {number(step.estimate)}"
        for step in width.steps
    )
    directions = sum(step.directions for step in width.steps)
    return [
        Cell(width.question, (width.test,), width.question),
        Cell(f"{100 * (1 - width.level):.3g}%", (), 1 - width.level),
        Cell(f"{len(width.steps)}", (), len(width.steps), steps),
        Cell(f"{directions:,}", (), directions),
        Cell(f"{width.scored_items:,}", (), width.scored_items),
    ]


def _read_off(curve: BasinCurve | None, *, strict: bool = False) -> Cell:
    """A width read off a curve; beside which end of the grid it lies where it is not on it."""
    if curve is None:
        return Cell()
    record = curve.strict_width if strict else curve.soft_width
    if curve.smooth:
        return Cell(NONE, (), None, "scores are likelihoods: there is no basin to be seen")
    if record.value is not None:
        return Cell(sigma_text(record.value), (), record.value)
    narrower = is_narrower(record)
    edge = curve.levels[0 if narrower else -1].sigma
    return Cell(f"{'below' if narrower else 'above'} {sigma_text(edge)}", (), edge, record.reason or "")


def _score_cells(scores: tuple[float, float, int] | None) -> list[Cell]:
    if scores is None:
        return [Cell(), Cell(), Cell()]
    base, chance, items = scores
    return [Cell(number(base), (), base), Cell(number(chance), (), chance), Cell(f"{items:,}", (), items)]


def _verdict_cells(view: Seen, each: BasinVerdict) -> list[Cell]:
    width = view.width(each.ability)
    return [
        Cell(sigma_text(each.sigma), (), each.sigma),
        Cell(sigma_text(each.displacement), (), each.displacement),
        Cell() if width is None else Cell(width_text(width), (), middle_of(width)),
        Cell(WHERE[each.verdict], (), each.verdict),
        _drop(each.drop, each.sentence),
        Cell(NONE, (), None, "not asked") if each.matched is None else _drop(each.matched),
        _certified(each),
    ]


def _drop(record: Record, tip: str = "") -> Cell:
    if record.value is None:
        return Cell(NONE, (), None, told(record))
    between = interval_text(record)
    return Cell(typeset(number(record.value)), (typeset(between),) if between else (), record.value, tip)


def _certified(each: BasinVerdict) -> Cell:
    found = each.certificate
    if found is None or found.score_floor is None:
        return Cell(NONE, (), None, "no certificate" if found is None else found.line)
    below = ("vacuous",) if found.vacuous else (f"a guess {number(found.chance)}",)
    return Cell(number(found.score_floor), below, found.score_floor, found.line)
