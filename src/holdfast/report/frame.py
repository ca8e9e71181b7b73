"""What every chart of a page has in common: its font, its colours, its axes."""

from __future__ import annotations

from typing import Any

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
