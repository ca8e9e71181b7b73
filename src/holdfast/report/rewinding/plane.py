"""Where the points of all paths lie on the plane of what was kept and what was learned."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.report.comparison import Span
from holdfast.report.labels import Drawing, Pair, Placed, placed
from holdfast.report.plane import extent
from holdfast.report.rewinding.phrases import place
from holdfast.report.rewinding.ways import Place, Rewound


@dataclass(frozen=True)
class Named:
    """A point with a name on the plane.

    Attributes:
        text: The name.
        place: The point.
        at: Kept score and target score.
        kept_span: Interval of forgetting, laid from the base's score.
        target_span: Interval of gain, laid from the base's score.
    """

    text: str
    place: Place
    at: Pair
    kept_span: Span
    target_span: Span


@dataclass(frozen=True)
class RewindPlane:
    """The paths, ready to be drawn.

    Attributes:
        lines: Name of a path -> its points that have both scores, as kept and target.
        named: Base, finished checkpoint, and the chosen point where it is neither.
        kept_range: Extent of the axis to the right.
        target_range: Extent of the axis upwards.
    """

    lines: tuple[tuple[str, tuple[tuple[Place, Pair], ...]], ...]
    named: tuple[Named, ...]
    kept_range: Span
    target_range: Span


def rewind_plane(view: Rewound) -> RewindPlane | None:
    """The places of everything on the plane; nothing where nothing was to be kept."""
    lines = [(way.name, tuple(_spots(way.places))) for way in view.ways]
    if not view.held.headline:
        return None
    texts = {view.base.label: "base", view.final.label: "finished"}
    if view.inside:
        texts[view.chosen.label] = f"chosen, t = {place(view.chosen.t)}"
    else:
        texts[view.chosen.label] += ", chosen"
    (_, first), base = lines[0], view.base.standing
    named = tuple(
        Named(texts[each.label], each, at, *_spans(each, base.kept or 0.0, base.target))
        for each, at in first
        if each.label in texts
    )
    spots = [at for _, line in lines for _, at in line]
    kept = [x for x, _ in spots] + [end for each in named for end in each.kept_span]
    target = [y for _, y in spots] + [end for each in named for end in each.target_span]
    return RewindPlane(tuple(lines), named, extent(kept), extent(target))


def name_places(plane: RewindPlane, frame: Pair, letter: float, row: float, scale: float = 1.0) -> list[Placed]:
    """Where the names stand beside their points.

    Args:
        plane: The plane.
        frame: Width and height of the drawing.
        letter: Width of a letter.
        row: Height of a line.
        scale: How large a point is, of one on the page.
    """
    drawing = Drawing(plane.kept_range, plane.target_range, frame)
    bars = [bar for each in plane.named for bar in drawing.cross(each.at, each.kept_span, each.target_span, scale)]
    for _, line in plane.lines:
        for _, spot in line:
            x, y = drawing.at(*spot)
            bars.append((x - 4 * scale, y - 4 * scale, x + 4 * scale, y + 4 * scale))
    sizes = [(letter * len(each.text) + 6 * scale, row) for each in plane.named]
    return placed([drawing.at(*each.at) for each in plane.named], sizes, bars, frame, scale)


def _spots(places: tuple[Place, ...]) -> list[tuple[Place, Pair]]:
    return [(each, (each.standing.kept, each.standing.target)) for each in places if each.standing.kept is not None]


def _spans(each: Place, base_kept: float, base_target: float) -> tuple[Span, Span]:
    """An interval is that of a change; on the plane it stands where the change leads from the base."""
    kept, target = each.standing.kept or 0.0, each.standing.target
    lost, gained = each.standing.forgetting.spread, each.standing.gain.spread
    return (
        (kept, kept) if lost is None else (base_kept - lost.high, base_kept - lost.low),
        (target, target) if gained is None else (base_target + gained.low, base_target + gained.high),
    )
