"""The certificates, each with the sentence without which its numbers must not be shown."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.core.certificate import Certificate
from holdfast.report.basin.phrases import sigma_text
from holdfast.report.basin.seen import Seen, certificates_of
from holdfast.report.ledger import Cell, Column
from holdfast.report.wording import NONE, number, typeset

VACUOUS = "vacuous"

COLUMNS = (
    Column("about", "The mean score under noise, or the share of directions that reach a score"),
    Column("sigma", "Size of the noise, and where it lies"),
    Column("p lower", "Lower confidence limit of the score or share at the base, never its estimate"),
    Column("confidence", "Of that limit, and how it was found"),
    Column("radius", "Longest move that surely keeps what stands below"),
    Column("moved", "Length of the move of interest, in radii below"),
    Column("kept there", "What is surely kept at that move; by the Lipschitz constant alone below"),
    Column("beyond a guess", "Whether it keeps more than a guess does, or without a move of interest has a radius"),
)


@dataclass(frozen=True)
class Certified:
    """A certificate, ready to be shown.

    Attributes:
        name: The ability, and the fine-tune it was made for, if there is one.
        cells: One a column.
        line: Its sentence, in full.
        vacuous: Whether it says nothing.
        at_hand: Whether it was made for a fine-tune that is at hand.
    """

    name: str
    cells: tuple[Cell, ...]
    line: str
    vacuous: bool
    at_hand: bool


def certified(view: Seen) -> tuple[Certified, ...]:
    """All certificates, by ability: of any fine-tune first, then of those at hand."""
    order = view.abilities.index
    return tuple(
        Certified(
            f"{each.ability}, {view.names[tuned]}" if tuned else each.ability, _cells(each), typeset(each.line),
            each.vacuous, bool(tuned),
        )
        for each, tuned in sorted(certificates_of(view).items(), key=lambda pair: order(pair[0].ability))
    )  # fmt: skip


def _cells(each: Certificate) -> tuple[Cell, ...]:
    about = "mean score" if each.threshold is None else f"share scoring {each.threshold:.3g}"
    return (
        Cell(about),
        Cell(sigma_text(each.sigma), (each.space,)),
        Cell(number(each.p_lower)),
        Cell(f"{100 * each.level:.4g}%", (each.method, f"{each.directions:,} directions")),
        Cell(NONE if each.radius is None else sigma_text(each.radius), (f"keeps {each.keep:.3g}",)),
        _moved(each),
        _kept(each),
        Cell(VACUOUS if each.vacuous else "yes", (f"a guess {number(each.chance)}",)),
    )


def _moved(each: Certificate) -> Cell:
    if each.displacement is None:
        return Cell(NONE, ("none of interest",))
    below = () if each.ratio is None else (f"{sigma_text(each.ratio)} radii",)
    return Cell(sigma_text(each.displacement), below)


def _kept(each: Certificate) -> Cell:
    if each.strong is None or each.weak is None:
        return Cell(NONE)
    floor = each.score_floor
    share = () if each.threshold is None or floor is None else (f"score {number(floor)}",)
    weak = number(each.weak, 4) if each.weak > 0 else "nothing"
    return Cell(number(each.strong, 4), (*share, f"weak: {weak}"))
