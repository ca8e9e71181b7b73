"""The map of blocks against modules: one number a cell, another quantity at every turn of a switch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.core.diagnosis import CONTROL, Site
from holdfast.core.record import Record
from holdfast.report.diagnosis.findings import Findings
from holdfast.report.diagnosis.phrases import brief, place, power, told
from holdfast.report.diagnosis.quantities import Quantity, quantities_of
from holdfast.report.palette import BETTER, DISTANCE, SHADE, WHITE, WORSE, tinted
from holdfast.report.wording import NONE, typeset

DENSE = 36
"""With more blocks than this the cells of the map hold no numbers; their tips do."""


@dataclass(frozen=True)
class HeatRow:
    """A module through all blocks, or a weight outside of blocks.

    Attributes:
        label: Name of the module.
        sites: For each block the number of its site, or nothing where the block has no such module.
    """

    label: str
    sites: tuple[int | None, ...]


@dataclass(frozen=True)
class HeatCell:
    """One number.

    Attributes:
        text: What stands in the cell.
        background: Its colour.
        tip: All that is known about it.
    """

    text: str
    background: str
    tip: str


@dataclass(frozen=True)
class HeatLayer:
    """The map of one quantity.

    Attributes:
        name: Name of the quantity in the records.
        title: What the switch calls it.
        heading: What the switch lists it under.
        key: What it means, its unit in the cells, and what a random update shows.
        cells: One a site, in the order of the diagnosis.
    """

    name: str
    title: str
    heading: str
    key: str
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True)
class HeatMap:
    """All maps.

    Attributes:
        blocks: Numbers of the blocks.
        rows: Modules inside of blocks.
        outside: Weights outside of blocks, one site each.
        layers: One a quantity.
        dense: Whether the cells are too narrow for numbers.
    """

    blocks: tuple[int, ...]
    rows: tuple[HeatRow, ...]
    outside: tuple[HeatRow, ...]
    layers: tuple[HeatLayer, ...]
    dense: bool


def heat_map(findings: Findings) -> HeatMap | None:
    """The map of every quantity that has a number somewhere; nothing where there is none."""
    layers = [
        _layer(findings, heading, quantity)
        for heading, quantities in quantities_of(findings).items()
        for quantity in quantities
    ]
    if not layers:
        return None
    blocks, rows = rows_of(findings.sites)
    outside = [HeatRow(site.name, (i,)) for i, site in enumerate(findings.sites) if site.block is None]
    return HeatMap(blocks, rows, tuple(outside), tuple(layers), dense=len(blocks) > DENSE)


def rows_of(sites: Sequence[Site]) -> tuple[tuple[int, ...], tuple[HeatRow, ...]]:
    """Numbers of the blocks, and for every module its site in each; two stacks of blocks get rows of their own."""
    found: dict[tuple[str, str], dict[int, int]] = {}
    for number, site in enumerate(sites):
        if site.block is not None:
            stack = site.name.removesuffix(site.module).rstrip(".").removesuffix(str(site.block)).rstrip(".")
            found.setdefault((stack, site.module), {})[site.block] = number
    blocks = tuple(sorted({block for row in found.values() for block in row}))
    stacks = {stack for stack, _ in found}
    return blocks, tuple(
        HeatRow(module if len(stacks) == 1 else f"{stack}: {module}", tuple(row.get(block) for block in blocks))
        for (stack, module), row in found.items()
    )


def _layer(findings: Findings, heading: str, quantity: Quantity) -> HeatLayer:
    values = findings.values(quantity.name)
    far = {site: _distance(quantity, value) for site, value in values.items()}
    farthest = _usual([abs(distance) for distance in far.values()])
    exponent = _exponent(_usual([abs(value) for value in values.values()]))
    cells = []
    for site in findings.sites:
        record = findings.record(quantity.name, site.name)
        if record is None:
            cells.append(HeatCell("", SHADE, f"{place(site)}\nnot measured here"))
        elif record.value is None:
            tip = f"{place(site)}\n{quantity.title}: undefined\n{record.reason}"
            cells.append(HeatCell(NONE, SHADE, tip))
        else:
            strength = far[site.name] / farthest if farthest else 0.0
            background = _tinted(quantity, strength)
            text = typeset(_compact(record.value * 10.0**-exponent))
            cells.append(HeatCell(text, background, _tip(findings, quantity, site, record)))
    return HeatLayer(quantity.name, quantity.title, heading, _key(findings, quantity, exponent), tuple(cells))


def _distance(quantity: Quantity, value: float) -> float:
    """How far a value lies from the one that means that nothing happened."""
    if not quantity.ratio:
        return value - quantity.still
    return math.log(value / quantity.still) if value > 0 else 0.0


def _tinted(quantity: Quantity, strength: float) -> str:
    if not quantity.ratio:
        return tinted(abs(strength), DISTANCE)
    return tinted(abs(strength), WORSE if strength > 0 else BETTER) if strength else WHITE


def _usual(sizes: Sequence[float]) -> float:
    """What all but the largest twentieth stay below; colours end there, lest one site make all others white."""
    ordered = sorted(sizes)
    return ordered[-1 - len(ordered) // 20] or ordered[-1]


def _exponent(largest: float) -> int:
    """The power of ten, a multiple of three, that numbers up to this one are written in."""
    return 0 if largest == 0 or largest >= 0.1 else 3 * math.floor(math.log10(largest * 10) / 3)


def _compact(value: float) -> str:
    if abs(value) >= 9.95 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 0.995 else f"{value:.2f}"


def _key(findings: Findings, quantity: Quantity, exponent: int) -> str:
    white = "white where nothing changed, full colour for the largest twentieth"
    white = "blue below 1, brown above, full colour for the farthest twentieth" if quantity.ratio else white
    unit = f"; numbers in units of {power(exponent)}" if exponent else ""
    control = findings.middle(quantity.name, CONTROL)
    random = "" if control is None else f". A random update of the same size: {brief(control)} in the median"
    return typeset(f"{quantity.meaning}; {white}{unit}{random}.")


def _tip(findings: Findings, quantity: Quantity, site: Site, record: Record) -> str:
    lines = [place(site), f"{quantity.title} {told(record)}"]
    null = findings.null_of(quantity.name, site.name)
    if null is not None:
        random = findings.value(quantity.name, site.name, CONTROL) is not None
        lines.append(f"{'random update of the same size' if random else 'unrelated tokens'} {brief(null)}")
    if site.shape:
        lines.append(f"{site.shape[0]:,} outputs from {site.shape[-1]:,} inputs")
    return typeset("\n".join(lines))
