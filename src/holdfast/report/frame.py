"""What every chart of a page has in common: its font, its colours, its axes."""

from __future__ import annotations

from typing import Any

from holdfast.report.labels import Pair, Placed
from holdfast.report.palette import FAINT, HAIR, INK, SOFT, WHITE

Figure = dict[str, Any]
"""A figure as plotly reads it: data and layout."""

FONT = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def layout(width: int, height: int) -> dict[str, Any]:
    """The layout of a chart of so many pixels: font, colours, and how it answers the pointer."""
    return {
        "width": width,
        "height": height,
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": WHITE,
        "plot_bgcolor": WHITE,
        "hovermode": "closest",
        "hoverdistance": 14,
        "dragmode": "zoom",
        "hoverlabel": {
            "bgcolor": WHITE,
            "bordercolor": FAINT,
            "align": "left",
            "font": {"family": FONT, "size": 12.5, "color": INK},
        },
    }


def axis(title: str) -> dict[str, Any]:
    """An axis with its title."""
    return {
        "title": {"text": title, "font": {"size": 13, "color": SOFT}, "standoff": 12},
        "gridcolor": HAIR,
        "zeroline": False,
        "showline": True,
        "linecolor": FAINT,
        "ticks": "outside",
        "ticklen": 5,
        "tickcolor": FAINT,
        "tickfont": {"size": 12, "color": SOFT},
        "nticks": 9,
    }


def small_axis(anchor: str) -> Figure:
    """An axis of one of many small panels, crossed by the axis named."""
    small = {**axis(""), "anchor": anchor, "nticks": 4, "ticklen": 3}
    return {**small, "tickfont": {"size": 11, "color": SOFT}}


def note(left: float, top: float, text: str) -> Figure:
    """Words at a place of the drawing, both given as shares of its width and height; they begin there."""
    return {
        "x": left,
        "y": top,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "text": text,
        "showarrow": False,
        "font": {"size": 13, "color": INK},
    }


def crosshair(x: float, y: float) -> list[Figure]:
    """Dotted lines through a point, from end to end of the drawing."""
    line = {"color": INK, "width": 1, "dash": "dot"}
    across = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y}
    upright = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x}
    return [{**shape, "line": line, "layer": "below", "opacity": 0.55} for shape in (across, upright)]


def bar(middle: float, ends: Pair, colour: str) -> Figure:
    """The bar of an interval around a dot."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(ends[1] - middle, 0.0)],
        "arrayminus": [max(middle - ends[0], 0.0)],
        "color": colour,
        "thickness": 1.4,
        "width": 0,
    }


def name_beside(x: float, y: float, text: str, place: Placed, colour: str) -> Figure:
    """A name in its place beside a dot, with a line to it where it is far away."""
    return {
        "x": x,
        "y": y,
        "text": text,
        "showarrow": place.led,
        "captureevents": False,
        **({"ax": place.right, "ay": place.down} if place.led else {"xshift": place.right, "yshift": -place.down}),
        "arrowhead": 0,
        "arrowwidth": 0.8,
        "arrowcolor": FAINT,
        "standoff": 8,
        "borderpad": 1,
        "font": {"size": 13, "color": colour},
    }
