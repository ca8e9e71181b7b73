"""The table of the page: every point of every path, what it gained and what it lost, task by task."""

from __future__ import annotations

from holdfast.metrics.operating_point.finding import Finding
from holdfast.metrics.tradeoff import BASE
from holdfast.report.diagnosis.ledger import Ledger, Row
from holdfast.report.ledger import Cell, Column
from holdfast.report.rewinding.matched import Match
from holdfast.report.rewinding.phrases import place, told, told_signed
from holdfast.report.rewinding.ways import Place, Rewound
from holdfast.report.wording import NONE, number, signed, span, typeset

CHOSEN, FINISHED, BEYOND, UNTOUCHED = "chosen", "finished", "farther than the end, left out", "untouched"


def point_ledger(view: Rewound) -> Ledger:
    """All points, path after path, the base once."""
    trained = any(each.training_step is not None for way in view.ways for each in way.places)
    measured = any(each.kl_nats is not None for way in view.ways for each in way.places)
    where = [("step", "How far from the base: the norm of the update, of that of the whole")]
    where += [("optimizer step", "The optimizer step after which it was saved")] if trained else []
    where += [("KL", "KL(base || point) in nats a token of the texts that were read")] if measured else []
    learned = [("target", "Mean score on what was to be learned; below it the gain over the base and its interval")]
    learned += _tasks(view.held.learn) if len(view.held.learn) > 1 else []
    kept = [("forgetting", "The base's mean score on what was to be kept, minus this one; above 0 is lost")]
    kept += _tasks(view.held.keep)
    groups = [
        ("where", where),
        ("learned", learned),
        *([("kept, change against the base", kept)] if view.found.keep else []),
    ]
    columns = [Column(title, hint, not n) for _, group in groups for n, (title, hint) in enumerate(group)]
    rows = [
        Row(row_name(each, way.name), _mark(each, view), tuple(_cells(each, view, trained, measured)))
        for way in view.ways
        for each in way.places
        if each.label != BASE or way is view.ways[0]
    ]
    return Ledger(tuple((heading, len(group)) for heading, group in groups), tuple(columns), tuple(rows))


def match_ledger(view: Rewound, matches: tuple[Match, ...]) -> Ledger | None:
    """The chosen point and the rivals as far from the base, or at the same KL; nothing without rivals."""
    if not matches:
        return None
    columns = (
        Column("t", "Where on its path", first=True),
        Column("target", "Mean score on what was to be learned", first=True),
        Column("forgetting", "The base's mean score on what was to be kept, minus this one; above 0 is lost"),
        Column("target", "Target score minus that of the chosen point: above 0 is better", first=True),
        Column("forgetting", "Forgetting minus that of the chosen point: below 0 is better"),
    )
    chosen = view.chosen.standing
    own = (
        Cell(place(view.chosen.t), (), view.chosen.t),
        _plain(chosen.target),
        _cell(chosen.forgetting),
        Cell(),
        Cell(),
    )
    rows = [Row(view.ways[0].name, CHOSEN, own), *(_match_row(match) for match in matches)]
    return Ledger((("where", 1), ("there", 2), ("minus the chosen point", 2)), columns, tuple(rows))


def row_name(each: Place, way: str) -> str:
    """Name of a point in the table."""
    return BASE if each.label == BASE else f"{way} {place(each.t)}"


def _tasks(tasks: tuple[str, ...]) -> list[tuple[str, str]]:
    return [
        (task, f"Mean score on {task} minus the base's; rest the pointer on a number for its interval")
        for task in tasks
    ]


def _mark(each: Place, view: Rewound) -> str:
    if each.label == view.chosen.label:
        return CHOSEN
    if each.label == view.final.label:
        return FINISHED
    return UNTOUCHED if each.label == BASE else BEYOND if each.beyond else ""


def _cells(each: Place, view: Rewound, trained: bool, measured: bool) -> list[Cell]:
    standing, is_base = each.standing, each.label == BASE
    cells = [_plain(each.step_frac)]
    if trained:
        cells.append(Cell() if each.training_step is None else Cell(f"{each.training_step:,}", (), each.training_step))
    if measured:
        cells.append(Cell() if each.kl_nats is None else _plain(each.kl_nats))
    gained = () if is_base else (typeset(told_signed(standing.gain)),)
    cells.append(Cell(typeset(number(standing.target)), gained, standing.target))
    if len(view.held.learn) > 1:
        cells += [_change(each, task) for task in view.held.learn]
    if view.found.keep:
        cells.append(_plain(0.0) if is_base else _cell(standing.forgetting))
        cells += [_change(each, task) for task in view.held.keep]
    return cells


def _change(each: Place, task: str) -> Cell:
    """A change with its interval in the tip; of the base the score."""
    score, change = each.standing.scores[task], each.standing.changes[task]
    if each.label == BASE:
        return Cell(typeset(number(score)), ("score",), 0.0)
    if change.value is None:
        return Cell(NONE, (), None, change.reason or "")
    between = f"{typeset(span(change.spread))}\n" if change.spread is not None else ""
    return Cell(typeset(signed(change.value)), (), change.value, f"{between}score {typeset(number(score))}")


def _match_row(match: Match) -> Row:
    crossing, standing = match.crossing, match.standing
    if standing is None or match.lead is None or match.lost is None or crossing.t is None:
        return Row(crossing.name, "", (Cell(NONE, (), None, crossing.reason), *(Cell() for _ in range(4))))
    before, after = crossing.before, crossing.after
    ends = () if before is None or after is None else (f"between {place(before.t)} and {place(after.t)}",)
    return Row(
        crossing.name,
        "",
        (
            Cell(number(crossing.t), ends, crossing.t),
            _plain(standing.target),
            _cell(standing.forgetting),
            _cell(match.lead, sign=True),
            _cell(match.lost, sign=True),
        ),
    )


def _plain(value: float) -> Cell:
    return Cell(typeset(number(value)), (), value)


def _cell(found: Finding, *, sign: bool = False) -> Cell:
    if found.value is None:
        return Cell(NONE, (), None, told(found))
    text = signed(found.value) if sign else number(found.value)
    between = () if found.spread is None else (typeset(span(found.spread)),)
    return Cell(typeset(text), between, found.value)
