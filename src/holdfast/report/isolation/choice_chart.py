"""One entrant at a time: overlaps of its choices, ages at the end, and where in the model it holds, as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import Any

from holdfast.core.isolation import Share
from holdfast.report.frame import Figure, axis, layout, note
from holdfast.report.isolation.phrases import percent
from holdfast.report.isolation.readings import Drift, Reading
from holdfast.report.palette import DISTANCE, INK, SOFT, WHITE
from holdfast.report.wording import markup, number

WIDTH = 1160
SIDE, HEAD, FOOT = 112, 44, 56
"""Pixels beside, above and below the panels."""

SQUARE, AGES_LEFT, AGES_WIDTH = 330, 520, 416
"""Pixels: a side of the square of overlaps, which the ages are as high as; where those begin, and how wide they are."""

ROW, COLUMN, BETWEEN = 30, 62, 110
"""Pixels: a kind of module, the widest block, and what lies between the two rows of panels."""

MOST_CHOICES = 32
"""Choices whose overlaps are drawn; of more so many are, spread evenly, the first and the last among them."""

MOST_TICKS = 8
"""Ages that are written below their bars."""

MOST_WRITTEN = 16
"""With more blocks than this the cells hold no numbers; the pointer tells them."""

OUTSIDE = "outside"
BAR = {
    "tickformat": ".0%",
    "thickness": 10,
    "outlinewidth": 0,
    "tickfont": {"size": 11, "color": SOFT},
    "ticklen": 3,
    "xpad": 8,
}


def chosen(drift: Drift) -> Figure | None:
    """The panels that an entrant has; nothing where it has none.

    There are overlaps and ages where it chose more than once, and shares where they were counted.
    """
    reading = drift.shown
    again, spread_out = len(reading.places) > 1, any(share.size for share in reading.course.shares)
    if not again and not spread_out:
        return None
    upper = SQUARE + (BETWEEN if spread_out else 0) if again else 0
    modules = len(dict.fromkeys(share.module for share in reading.course.shares)) if spread_out else 0
    inner, width = upper + ROW * modules, WIDTH - 2 * SIDE
    shown: dict[str, Any] = {
        **layout(WIDTH, inner + HEAD + FOOT),
        "margin": {"l": SIDE, "r": SIDE, "t": HEAD, "b": FOOT},
        "plot_bgcolor": WHITE,
        "showlegend": False,
        "annotations": [],
    }
    traces: list[Figure] = []
    if again:
        top = 1 - SQUARE / inner
        square, ages = [0.0, SQUARE / width], [AGES_LEFT / width, (AGES_LEFT + AGES_WIDTH) / width]
        traces += [_overlaps(drift, (1 + top) / 2, SQUARE), _ages(reading)]
        plain = {"showgrid": False, "mirror": True}
        shown["xaxis"] = {**axis("optimizer step of one choice"), **plain, "domain": square, "anchor": "y", "nticks": 6}
        shown["yaxis"] = {**axis("of the other"), **plain, "domain": [top, 1.0], "anchor": "x", "nticks": 6}
        shown["xaxis2"] = {**axis("steps held without a break"), **_ticks(reading), "domain": ages, "anchor": "y2"}
        shown["yaxis2"] = {**axis(""), "domain": [top, 1.0], "anchor": "x2", "tickformat": ".0%", "rangemode": "tozero"}
        shown["annotations"] += [
            _heading(0.0, 1.0, f"overlap of any two choices, seed {drift.shown_seed}"),
            _heading(ages[0], 1.0, f"age of what is held, seed {drift.shown_seed}"),
        ]
    if spread_out:
        shares = [share for share in reading.course.shares if share.size]
        blocks = _blocks(shares)
        across = min(COLUMN * len(blocks), width) / width
        traces.append(_spread(shares, reading, ROW * modules))
        shown["xaxis3"] = {
            **axis("block"),
            "domain": [0.0, across],
            "anchor": "y3",
            "type": "category",
            "showgrid": False,
            "showline": False,
        }
        upright = {"domain": [0.0, ROW * modules / inner], "anchor": "x3", "type": "category", "autorange": "reversed"}
        shown["yaxis3"] = {**axis(""), **upright, "showgrid": False, "showline": False, "nticks": modules}
        heading = f"held of each part after the last choice, seed {drift.shown_seed}"
        shown["annotations"].append(_heading(0.0, ROW * modules / inner, heading))
    return {"data": traces, "layout": shown}


def _overlaps(drift: Drift, middle: float, height: int) -> Figure:
    reading = drift.shown
    places = _spaced(reading.places)
    steps = [reading.course.refreshes[place].step for place in places]
    chance = reading.course.chance_jaccard
    by_chance = "" if chance is None else f"<br>by chance {percent(chance)}"
    return {
        "type": "heatmap",
        "x": steps,
        "y": steps,
        "z": [[round(reading.jaccard((one, other)), 3) for other in places] for one in places],
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, WHITE], [1, _rgb(DISTANCE)]],
        "colorbar": {**BAR, "x": SQUARE / (WIDTH - 2 * SIDE), "y": middle, "len": height, "lenmode": "pixels"},
        "hovertemplate": f"steps %{{x:,}} and %{{y:,}}<br>overlap %{{z:.1%}}{by_chance}<extra></extra>",
        "xaxis": "x",
        "yaxis": "y",
    }


def _ages(reading: Reading) -> Figure:
    ages = reading.course.ages_steps
    held = sum(scalars for _, scalars in ages) or 1
    gaps = [other - one for (one, _), (other, _) in pairwise(ages)]
    return {
        "type": "bar",
        "x": [age for age, _ in ages],
        "y": [round(scalars / held, 4) for _, scalars in ages],
        "customdata": [scalars for _, scalars in ages],
        "width": 0.8 * min(gaps, default=1),
        "marker": {"color": _rgb(DISTANCE)},
        "hovertemplate": "for %{x:,} steps: %{y:.1%} of what is held<br>%{customdata:,} scalars counted<extra></extra>",
        "xaxis": "x2",
        "yaxis": "y2",
    }


def _ticks(reading: Reading) -> dict[str, Any]:
    """Some of the ages, so that no tick stands where there can be no bar."""
    ages = [age for age, _ in reading.course.ages_steps]
    return {"tickmode": "array", "tickvals": ages[:: ceil(len(ages) / MOST_TICKS) or 1]}


def _spread(shares: Sequence[Share], reading: Reading, height: int) -> Figure:
    modules, blocks = list(dict.fromkeys(share.module for share in shares)), _blocks(shares)
    found = {(share.module, _block(share)): share for share in shares}
    cells = [[found.get((module, block)) for block in blocks] for module in modules]
    written = len(blocks) <= MOST_WRITTEN
    whole = reading.held_frac or 0.0
    return {
        "type": "heatmap",
        "x": blocks,
        "y": [markup(module) for module in modules],
        "z": [[None if cell is None else round(cell.held / cell.size, 5) for cell in row] for row in cells],
        "zmin": 0,
        "colorscale": [[0, WHITE], [1, _rgb(DISTANCE)]],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "text": [["" if cell is None else percent(cell.held / cell.size) for cell in row] for row in cells],
        "texttemplate": "%{text}" if written else "",
        "textfont": {"size": 11, "color": INK},
        "customdata": [["" if cell is None else _told(cell, whole) for cell in row] for row in cells],
        "hovertemplate": "%{customdata}<extra></extra>",
        "hoverongaps": False,
        "xaxis": "x3",
        "yaxis": "y3",
    }


def _told(share: Share, whole: float) -> str:
    """Which part, how much of it is held, and how that stands to its fair part."""
    place = "outside of blocks" if share.block is None else f"of block {share.block}"
    frac = share.held / share.size
    times = f"<br>{number(frac / whole, 2)} times its fair part" if whole else ""
    return f"{markup(share.module)} {place}<br>{percent(frac)}: {share.held:,} of {share.size:,}{times}"


def _blocks(shares: Sequence[Share]) -> list[str]:
    """Names of the columns: the blocks, then what lies outside of them."""
    numbers = sorted({share.block for share in shares if share.block is not None})
    return [*map(str, numbers), *([OUTSIDE] if any(share.block is None for share in shares) else [])]


def _block(share: Share) -> str:
    return OUTSIDE if share.block is None else str(share.block)


def _spaced(places: Sequence[int]) -> list[int]:
    """All of them, or as many as are drawn."""
    if len(places) <= MOST_CHOICES:
        return list(places)
    return [places[round(step * (len(places) - 1) / (MOST_CHOICES - 1))] for step in range(MOST_CHOICES)]


def _rgb(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _heading(left: float, top: float, text: str) -> Figure:
    return {**note(left, top, text), "yanchor": "bottom", "yshift": 12, "font": {"size": 13, "color": SOFT}}
