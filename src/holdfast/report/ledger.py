"""The table of everything: one row an entrant, every number beside its interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from holdfast.metrics.tradeoff import BASE
from holdfast.report.comparison import Comparison, PointResult, Span
from holdfast.report.table import ordered
from holdfast.report.wording import divergence, gap, number, p_value, signed, sized, span, tries_of, typeset


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        title: What stands above it.
        hint: What it means.
        first: Whether a group begins with it.
    """

    title: str
    hint: str
    first: bool = False


@dataclass(frozen=True)
class Cell:
    """What stands in a column: a number, and smaller ones below.

    Attributes:
        main: The number.
        below: What belongs to it, a line each.
        order: What the column is sorted by; nothing for an empty cell, which goes last.
        tip: What is told when the pointer rests on it.
    """

    main: str = ""
    below: tuple[str, ...] = ()
    order: float | str | None = None
    tip: str = ""


@dataclass(frozen=True)
class Row:
    """An entrant, or the base.

    Attributes:
        point: Whose.
        cells: One a column; for an entrant without a result only the first few.
    """

    point: PointResult
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Ledger:
    """The table.

    Attributes:
        groups: Heading of each group of columns with the number of its columns.
        columns: The columns after the name.
        rows: The rows.
        settled: How many columns an entrant without a result still fills.
    """

    groups: tuple[tuple[str, int], ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    settled: int


def ledger_of(comparison: Comparison) -> Ledger:
    """The table of all points in the order of ``table.ordered``; columns that nobody fills are left out."""
    points = ordered(comparison)
    wide = [[cell for section in SECTIONS for cell in section.cells(point)] for point in points]
    everywhere = [(section.heading, *column) for section in SECTIONS for column in section.columns]
    filled = [i for i in range(len(everywhere)) if any(cells[i].main for cells in wide)]
    headings = [everywhere[i][0] for i in filled]
    settled = headings.count(SECTIONS[0].heading)
    columns = tuple(
        Column(everywhere[i][1], everywhere[i][2], first=not place or headings[place - 1] != headings[place])
        for place, i in enumerate(filled)
    )
    rows = []
    for point, cells in zip(points, wide, strict=True):
        kept = [cells[i] for i in filled]
        rows.append(Row(point, tuple(kept[:settled] if point.failure else kept)))
    groups = tuple((heading, headings.count(heading)) for heading in dict.fromkeys(headings))
    return Ledger(groups, columns, tuple(rows), settled)


def _settled(point: PointResult) -> list[Cell]:
    if point.name == BASE:
        return [Cell(), Cell()]
    standing = point.standing or ""
    below = (gap(point.budget_gap_frac), standing) if point.budget_gap_frac is not None else (standing,)
    unspent = (f"{point.unspent_tries} unspent",) if point.unspent_tries else ()
    rate = "none" if point.learning_rate is None else f"{point.learning_rate:g}"
    return [
        Cell(f"{point.trainable_params:,}", tuple(map(typeset, below)), point.trainable_params),
        Cell(rate, (tries_of(point), *unspent), point.learning_rate),
    ]


def _result(point: PointResult) -> list[Cell]:
    found = divergence(point)
    return [
        _number(point.gain, point.gain_interval, sign=True, over_seeds=point.gain_seed_interval),
        _number(point.forgetting, point.forgetting_interval, over_seeds=point.forgetting_seed_interval),
        Cell() if found is None else _number(*found),
    ]


def _frontier(point: PointResult) -> list[Cell]:
    share = point.non_dominated_frac
    area = Cell() if point.name == BASE else _number(point.added_area, point.added_area_interval)
    return [Cell() if share is None else Cell(number(share, 2), (), share), area]


def _rewound(point: PointResult) -> list[Cell]:
    found = point.rewound
    if found is None:
        return [Cell(), Cell(), Cell(), Cell()]
    runs = f"{found.left} of {len(found.t)} left" if found.left else ""
    tip = f"at {', '.join(f'{t:g}' for t in found.t)} of the path '{found.path}', by {found.rule}"
    return [
        Cell(typeset(number(found.step_frac, 2)), (runs,) if runs else (), found.step_frac, tip),
        _number(found.gain, found.gain_interval, sign=True),
        _number(found.forgetting, found.forgetting_interval),
        _number(found.undone, found.undone_interval),
    ]


def _versus(point: PointResult) -> list[Cell]:
    versus = point.versus_lora
    if versus is None:
        return [Cell(), Cell()]
    return [
        _number(versus.gain, versus.gain_interval, p_value(versus.gain_p), sign=True),
        _number(versus.forgetting, versus.forgetting_interval, p_value(versus.forgetting_p), sign=True),
    ]


def _cost(point: PointResult) -> list[Cell]:
    step, memory = point.step_time_rel_lora, point.peak_memory_bytes
    trained, stored = point.trainable_bytes, point.stored_bytes
    beside = () if trained is None else (f"{sized(trained)} trained",)
    return [
        Cell() if step is None else Cell(f"{step:.2f}\N{MULTIPLICATION SIGN}", (), step),
        Cell() if memory is None else Cell(sized(memory), (), memory),
        Cell("" if stored is None else sized(stored), beside, stored),
        Cell() if point.served_as is None else Cell(point.served_as, (), point.served_as),
    ]


def _number(
    value: float | None, interval: Span | None, *more: str, sign: bool = False, over_seeds: Span | None = None
) -> Cell:
    if value is None:
        return Cell()
    text = signed(value) if sign else number(value)
    between = (span(interval),) if interval is not None and interval[0] != interval[1] else ()
    tip = f"t-interval over seeds: {span(over_seeds)}" if over_seeds is not None else ""
    return Cell(typeset(text), tuple(map(typeset, (*between, *more))), value, typeset(tip))


@dataclass(frozen=True)
class _Section:
    """Columns that belong together.

    Attributes:
        heading: What stands above them.
        columns: Title and meaning of each.
        cells: What an entrant, or the base, has in them.
    """

    heading: str
    columns: tuple[tuple[str, str], ...]
    cells: Callable[[PointResult], list[Cell]]


SECTIONS = (
    _Section(
        "before training",
        (
            ("parameters", "Trainable parameters, and their distance from the budget"),
            ("rate", "Learning rate that was used, the rates that were tried, and the tries that were not needed"),
        ),
        _settled,
    ),
    _Section(
        "result",
        (
            ("gain", "Change on what was to be learned: above 0 is better"),
            ("forgetting", "Loss on what was to be kept: above 0 is worse"),
            ("KL", "KL(base || entrant) on the kept texts, in nats per token"),
        ),
        _result,
    ),
    _Section(
        "frontier",
        (
            ("P", "Share of resamples in which nobody is better in both"),
            ("area", "Area that the entrant alone adds to the base's"),
        ),
        _frontier,
    ),
    _Section(
        "rewound, by validation items",
        (
            ("step", "Distance from the base as a share of the whole way, and how many runs stay where they ended"),
            ("gain", "Change on what was to be learned, at the best points of the runs"),
            ("forgetting", "Loss on what was to be kept, at the best points of the runs"),
            ("undone", "Forgetting at the end minus forgetting at the best points: above 0 is better"),
        ),
        _rewound,
    ),
    _Section(
        "minus lora",
        (
            ("gain", "Gain minus LoRA's; p-value adjusted for all entrants by Holm"),
            ("forgetting", "Forgetting minus LoRA's: below 0 is better; p-value adjusted for all entrants by Holm"),
        ),
        _versus,
    ),
    _Section(
        "cost",
        (
            ("step", "Time of a training step as a share of LoRA's at the budget"),
            ("memory", "Most memory that training took"),
            ("stored", "Size of what is saved, and of what is trained"),
            ("served", "As a LoRA adapter, merged into the weights, or live beside them"),
        ),
        _cost,
    ),
)
