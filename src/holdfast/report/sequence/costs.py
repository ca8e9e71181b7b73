"""What a row costs: trained parameters, time, memory, storage, and the probe before it."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, median

from holdfast.core.record import Record
from holdfast.core.sequence_evidence import ChainRun, SequenceEntrant
from holdfast.report.ledger import Cell
from holdfast.report.wording import NONE, number, sized

STORED = "stored_bytes"


def params_cell(entrant: SequenceEntrant, base_params: int) -> Cell:
    """Parameters that a stage trains, with their share of the base."""
    frac = entrant.trainable_params / base_params
    return Cell(f"{100 * frac:.3g}%", (f"{entrant.trainable_params:,}",), frac)


def rate_cell(entrant: SequenceEntrant) -> Cell:
    """The learning rate, with how many were tried."""
    if entrant.learning_rate is None:
        return Cell(NONE, (), None, "all tries failed" if entrant.tries else "none was chosen")
    tries = f"{len(entrant.tries)} tried" if entrant.tries else ""
    return Cell(f"{entrant.learning_rate:g}", (tries,) if tries else (), entrant.learning_rate)


def cost_cell(entrant: SequenceEntrant, start: str) -> Cell:
    """The first cost whose name begins so."""
    found = [record for record in entrant.costs if record.quantity.startswith(start)]
    if not found:
        return Cell(NONE, (), None, "not measured")
    return cell_of(found[0])


def stored_cell(entrant: SequenceEntrant) -> Cell:
    """What must be kept to have the results of all stages: of tasks trained alone, the sum over the tasks."""
    if any(record.quantity == STORED for record in entrant.costs):
        return cost_cell(entrant, STORED)
    sizes = [sum(each) for run in entrant.runs if (each := [*_facts(run, STORED)])]
    if not sizes:
        return Cell(NONE, (), None, "not measured")
    times = len({run.order for run in entrant.runs}) if entrant.regime == "alone" else 1
    size = median(sizes) * times
    return Cell(sized(size), (f"{times} checkpoints",) if times > 1 else (), size)


def probe_cells(entrant: SequenceEntrant) -> Cell:
    """What choosing cost before training: of costs if it is there, of the stages' facts otherwise."""
    costs = {record.quantity: record for record in entrant.costs if record.quantity.startswith("probe")}
    if not costs:
        names = {
            f.quantity for run in entrant.runs for s in run.stages for f in s.facts if f.quantity.startswith("probe")
        }
        for name in sorted(names):
            sums = [sum(each) for run in entrant.runs if (each := [*_facts(run, name)])]
            unit = next(f.unit for r in entrant.runs for s in r.stages for f in s.facts if f.quantity == name)
            if sums:
                costs[name] = Record(subject=entrant.label, quantity=name, value=fmean(sums), unit=unit)
    if not costs:
        return Cell()
    # What has no unit is counted in what its name says: steps, tokens.
    costs = {
        name: record if record.unit else record.model_copy(update={"unit": name.removeprefix("probe_")})
        for name, record in costs.items()
    }
    first, *others = [cell_of(record) for record in costs.values()]
    tip = "\n".join(f"{name.replace('_', ' ')}: {cell_of(record).main}" for name, record in costs.items())
    return Cell(first.main, tuple(other.main for other in others), first.order, tip)


def cell_of(record: Record) -> Cell:
    """A cost as a cell, in the words of its unit."""
    if record.value is None:
        return Cell(NONE, (), None, record.reason or "")
    value = record.value
    text = {"bytes": sized(value), "x": f"{value:.2f}\N{MULTIPLICATION SIGN}", "s": f"{number(value, 1)} s"}
    if record.unit == "s" and abs(value) < 1:
        text["s"] = f"{1000 * value:.3g} ms"
    default = f"{value:,.0f}" if value == round(value) else number(value)
    return Cell(text.get(record.unit, f"{default} {record.unit}".strip()), (), value)


def _facts(run: ChainRun, quantity: str) -> Iterator[float]:
    for stage in run.stages:
        yield from (f.value for f in stage.facts if f.quantity == quantity and f.value is not None)
