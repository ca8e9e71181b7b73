"""Everything about an entrant in a few lines, for the moment when the pointer rests on its dot."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

from holdfast.metrics.tradeoff import BASE
from holdfast.report.comparison import Comparison, PointResult, Span, TaskResult
from holdfast.report.palette import SOFT
from holdfast.report.wording import (
    counted,
    divergence,
    gap,
    markup,
    measured,
    number,
    p_value,
    signed,
    sized,
    span,
    tries_of,
    typeset,
)

WIDTH = 58
MOST_TASKS = 12


def told(point: PointResult, comparison: Comparison) -> str:
    """The lines, as the markup that plotly understands."""
    blocks = [_head(point), _result(point, comparison), rewound_facts(point), _tasks(point), _costs(point)]
    lines = ["<br>".join(lines) for block in blocks if (lines := list(block))]
    return "<br><br>".join(lines)


def fact(name: str, value: str) -> str:
    """A line: what it is, and how much."""
    return f'<span style="color:{SOFT}">{markup(name)}</span>  {markup(typeset(value))}'


def _head(point: PointResult) -> Iterable[str]:
    if point.name == BASE:
        yield "<b>the untouched base</b>"
        return
    apart = "" if point.ranked else f" (shown apart: {point.standing})"
    yield f"<b>{markup(point.name)}</b>{apart}"
    if point.setting != point.name:
        yield from (markup(line) for line in wrap(point.setting, WIDTH))
    if point.budget_gap_frac is not None:
        yield fact("parameters", f"{point.trainable_params:,} ({gap(point.budget_gap_frac)}, {point.standing})")
    if point.learning_rate is not None:
        unspent = f", {point.unspent_tries} unspent" if point.unspent_tries else ""
        yield fact("learning rate", f"{point.learning_rate:g} ({tries_of(point)}{unspent})")
        yield fact("seeds", f"{point.seeds}")


def _result(point: PointResult, comparison: Comparison) -> Iterable[str]:
    if point.name == BASE:
        yield fact("target", number(point.target_score or 0.0))
        yield fact("kept", number(point.kept_score or 0.0))
    else:
        yield fact("gain", measured(point.gain, point.gain_interval) + _over(point.gain_seed_interval))
        lost = measured(point.forgetting, point.forgetting_interval)
        yield fact("forgetting", lost + _over(point.forgetting_seed_interval))
    if (found := divergence(point)) is not None:
        yield fact("KL from base", f"{measured(*found)} nats/token")
    if point.non_dominated_frac is not None:
        yield fact("P(non-dominated)", number(point.non_dominated_frac, 2))
    if point.versus_lora is not None:
        versus = point.versus_lora
        yield fact("gain against lora", _difference(versus.gain, versus.gain_interval, versus.gain_p))
        lost = _difference(versus.forgetting, versus.forgetting_interval, versus.forgetting_p)
        yield fact("forgetting against lora", lost)


def rewound_facts(point: PointResult) -> Iterable[str]:
    """What rewinding its runs makes of an entrant, where they were rewound."""
    found = point.rewound
    if found is None:
        return
    stay = f", {found.left} of {len(found.t)} runs stay" if found.left else ""
    yield fact("rewound to", f"{number(found.step_frac, 2)} of the way{stay}")
    yield fact("gain there", measured(found.gain, found.gain_interval))
    yield fact("forgetting there", measured(found.forgetting, found.forgetting_interval))
    yield fact("undone", measured(found.undone, found.undone_interval))


def _tasks(point: PointResult) -> Iterable[str]:
    for task in point.tasks[:MOST_TASKS]:
        yield fact(task.task, _score_of(task) if point.name == BASE else _change_of(task))
    if len(point.tasks) > MOST_TASKS:
        yield f"and {counted(len(point.tasks) - MOST_TASKS, 'more task')}, in the table below"


def _costs(point: PointResult) -> Iterable[str]:
    if point.step_time_rel_lora is not None:
        yield fact("step time", f"{point.step_time_rel_lora:.2f} of lora's")
    if point.peak_memory_bytes is not None:
        yield fact("peak memory", sized(point.peak_memory_bytes))
    if point.stored_bytes is not None:
        yield fact("stored", f"{sized(point.stored_bytes)}, served {point.served_as}")


def _score_of(task: TaskResult) -> str:
    return number(task.score) + (" nats/token" if task.unit != "frac" else "")


def _change_of(task: TaskResult) -> str:
    unit = " nats/token" if task.unit != "frac" else ""
    return f"{signed(task.change)} {span(task.change_interval)}{unit}"


def _difference(value: float, interval: Span, p: float) -> str:
    return f"{signed(value)} {span(interval)}, {p_value(p)}"


def _over(interval: Span | None) -> str:
    return "" if interval is None else f"; over seeds {span(interval)}"
