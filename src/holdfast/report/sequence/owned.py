"""The section on owners: a map, a table of shares and a table of overlaps for every entrant that chooses tensors."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from holdfast.report.palette import COLOURS, DISTANCE, WHITE, tinted
from holdfast.report.sequence.analysis import Analysed
from holdfast.report.sequence.owners import Choice, Owners, Tensor, owners_of
from holdfast.report.sequence.phrases import order_text
from holdfast.report.wording import NONE, counted, listed, number

UNOWNED, MISSING = "#eceff1", "none"
DENSE = 16
"""With more blocks than this the cells of the map are narrow."""


@dataclass(frozen=True)
class Field:
    """A cell: its colours, what it says, and what is told when the pointer rests on it.

    Attributes:
        background: CSS of its background.
        text: What stands in it.
        tip: What is told.
        small: What stands below, in small.
    """

    background: str
    text: str
    tip: str
    small: str = ""


@dataclass(frozen=True)
class Ledger:
    """One chain, ready to be shown.

    Attributes:
        entrant: Whose.
        title: Order and seed.
        heads: The blocks.
        dense: Whether there are so many that cells are narrow.
        tensors: Module -> a cell a block.
        layers: Task -> share of the scalars of every block.
        shares: Task -> shares of tensors and of scalars.
        tasks: The tasks with a plan.
        overlaps: Task -> a cell a task.
        summary: In words.
    """

    entrant: str
    title: str
    heads: tuple[str, ...]
    dense: bool
    tensors: tuple[tuple[str, tuple[Field, ...]], ...]
    layers: tuple[tuple[str, tuple[Field, ...]], ...]
    shares: tuple[tuple[str, tuple[str, ...]], ...]
    tasks: tuple[str, ...]
    overlaps: tuple[tuple[str, tuple[Field, ...]], ...]
    summary: str


@dataclass(frozen=True)
class OwnersSection:
    """What the template is filled with.

    Attributes:
        ledgers: One an entrant and order, of its first seed.
        colours: Task -> its colour.
        lines: What was found, a line an entrant, over all its chains.
    """

    ledgers: tuple[Ledger, ...]
    colours: dict[str, str]
    lines: tuple[str, ...]


def owners_section(found: Analysed) -> OwnersSection | None:
    """The section; nothing where nobody chooses tensors."""
    colours = {task: COLOURS[place % len(COLOURS)] for place, task in enumerate(found.evidence.tasks)}
    ledgers: list[Ledger] = []
    lines = []
    for each in found.rows:
        chains = each.row.entrant.runs if each.row.entrant is not None and each.row.in_sequence else ()
        known = [owners for chain in chains if (owners := owners_of(chain)) is not None]
        if not known:
            continue
        lines.append(_line(each.name, known))
        first = {owners.order: owners for owners in reversed(known)}
        orders = [order for order in found.evidence.orders if order in first]
        ledgers += [_ledger(each.name, first[order], colours) for order in orders]
    return OwnersSection(tuple(ledgers), colours, tuple(lines)) if ledgers else None


def _line(name: str, known: list[Owners]) -> str:
    choices = [choice for owners in known for choice in owners.choices]
    tensors = fmean(choice.tensors / choice.model_tensors for choice in choices)
    params = fmean(choice.params / choice.model_params for choice in choices)
    jaccards = [owners.mean_jaccard for owners in known if owners.mean_jaccard is not None]
    chances = [owners.mean_chance for owners in known if owners.mean_chance is not None]
    common = ""
    if jaccards and chances:
        common = (
            f"; two tasks of a chain share {number(fmean(jaccards), 2)} of their tensors (Jaccard), "
            f"where random sets would {number(fmean(chances), 2)}"
        )
    over = f" (means over {counted(len(known), 'chain')})" if len(known) > 1 else ""
    return (
        f"{name}: a task is trained on {_percent(tensors)} of the tensors, which are {_percent(params)} of the "
        f"parameters{common}{over}."
    )


def _ledger(entrant: str, owners: Owners, colours: dict[str, str]) -> Ledger:
    blocks = owners.blocks
    places = {(tensor.module, tensor.block): tensor for tensor in owners.tensors}
    tasks = tuple(choice.task for choice in owners.choices)
    return Ledger(
        entrant=entrant,
        title=f"{order_text(owners.order)}, seed {owners.seed}",
        heads=tuple("other" if block is None else str(block) for block in blocks),
        dense=len(blocks) > DENSE,
        tensors=tuple(
            (module, tuple(_owned(places.get((module, block)), colours) for block in blocks))
            for module in owners.modules
        ),
        layers=tuple((task, tuple(_share(owners, task, block) for block in blocks)) for task in tasks),
        shares=tuple((choice.task, _shares(choice)) for choice in owners.choices),
        tasks=tasks,
        overlaps=tuple(
            (task, tuple(_overlap(owners, row, column) for column in range(len(tasks))))
            for row, task in enumerate(tasks)
        ),
        summary=_line(entrant, [owners]),
    )


def _owned(tensor: Tensor | None, colours: dict[str, str]) -> Field:
    if tensor is None:
        return Field(MISSING, "", "")
    size = f"{tensor.name}\n{counted(tensor.params, 'parameter')}"
    if not tensor.owners:
        return Field(UNOWNED, "", f"{size}\nno task was trained on it")
    shade = [colours.get(task, UNOWNED) for task in tensor.owners]
    ends = [f"{100 * place / len(shade):.4g}%" for place in range(len(shade) + 1)]
    stops = ", ".join(f"{colour} {ends[place]} {ends[place + 1]}" for place, colour in enumerate(shade))
    background = shade[0] if len(shade) == 1 else f"linear-gradient(90deg, {stops})"
    text = str(len(shade)) if len(shade) > 1 else ""
    return Field(background, text, f"{size}\ntrained for {listed(tensor.owners)}")


def _share(owners: Owners, task: str, block: int | None) -> Field:
    share = owners.share(task, block)
    where = "outside of blocks" if block is None else f"block {block}"
    if share is None:
        return Field(WHITE, NONE, f"{task}, {where}: nothing could be chosen")
    return Field(tinted(share, DISTANCE), _percent(share), f"{task}, {where}: {share:.1%} of the eligible parameters")


def _shares(choice: Choice) -> tuple[str, ...]:
    return (
        f"{choice.tensors:,} of {choice.model_tensors:,}",
        _percent(choice.tensors / choice.model_tensors),
        f"{choice.params:,}",
        _percent(choice.params / choice.model_params),
        _percent(choice.tensors / choice.eligible_tensors) if choice.eligible_tensors else NONE,
        _percent(choice.params / choice.eligible_params) if choice.eligible_params else NONE,
        f"{choice.shared:,}",
    )


def _overlap(owners: Owners, row: int, column: int) -> Field:
    one, other = owners.choices[row], owners.choices[column]
    if row == column:
        return Field(WHITE, str(one.tensors), f"{one.task}: {counted(one.tensors, 'tensor')}")
    common = owners.common[row][column]
    if common.jaccard is None:
        return Field(WHITE, NONE, "neither task was trained on anything")
    chance = NONE if common.chance is None else number(common.chance, 2)
    params = NONE if common.params is None else number(common.params, 2)
    tip = f"{one.task} and {other.task}\ntensors {number(common.jaccard, 3)}, random sets {chance}\nparameters {params}"
    return Field(tinted(common.jaccard, DISTANCE), number(common.jaccard, 2), tip, chance)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share == 0 or share >= 0.095 else f"{100 * share:.1f}%"
