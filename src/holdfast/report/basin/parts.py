"""Directions that move a part of the weights alone, such as a layer or an adapter: their sigma is one of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from holdfast.report.basin.lines_chart import Line, lines_chart
from holdfast.report.basin.seen import Seen
from holdfast.report.frame import Figure
from holdfast.report.palette import Look, looks_of, tinted

DEEPEST: Final = (53, 42, 134)
FAINTEST: Final = 0.25
MOST_APART: Final = 9
"""Up to so many directions have a colour of their own; more of them go from pale to dark, in their order."""


@dataclass(frozen=True)
class Part:
    """Directions of one kind, such as all layers.

    Attributes:
        key: Name of each direction with its colour.
        figure: Their curves.
    """

    key: tuple[tuple[str, str], ...]
    figure: Figure


def parts_of(view: Seen) -> tuple[Part, ...]:
    """All of them, a chart a kind; the kind is the first word of a direction."""
    groups: dict[str, list[str]] = {}
    for kind in view.parts:
        groups.setdefault(kind.split(maxsplit=1)[0], []).append(kind)
    return tuple(_part(view, kinds) for kinds in groups.values())


def _part(view: Seen, kinds: list[str]) -> Part:
    looks = looks_in_order(kinds)
    panels: dict[str, list[Line]] = {}
    for ability in view.abilities:
        curves = [(kind, curve) for kind in kinds if (curve := view.curve(ability, kind)) is not None]
        if curves:
            banded = len(curves) == 1
            panels[ability] = [Line(kind, view, curve, looks[kind], banded) for kind, curve in curves]
    figure = lines_chart(view, panels, lengths=False)
    assert figure is not None, "a kind of direction has a curve"
    return Part(tuple((kind, looks[kind].colour) for kind in kinds), figure)


def looks_in_order(kinds: list[str]) -> Mapping[str, Look]:
    """How directions are drawn: apart from each other if they are few, from pale to dark if they are many."""
    looks = looks_of(kinds)
    if len(kinds) <= MOST_APART:
        return looks
    step = (1 - FAINTEST) / (len(kinds) - 1)
    return {
        kind: replace(looks[kind], colour=tinted(FAINTEST + step * place, DEEPEST), dash="solid")
        for place, kind in enumerate(kinds)
    }
