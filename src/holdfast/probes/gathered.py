"""From what a sweep takes down to moments: of pairs of rows, and of what layers read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest

import torch
from torch import Tensor

from holdfast.algebra.layer_inputs import Inputs, SecondMoment, TokenSample
from holdfast.algebra.moments import Moments
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.probes.sweep import Taken

FULL_ROWS = 1024
"""Rows that are gathered before they are added: sums of outer products are fast only for many rows at once."""

WIDEST = 8192
"""Layers with more inputs than this keep a sample of tokens instead of a second moment of width squared."""


def together(prompt: int) -> int:
    """All prompts in one group."""
    return 0


def paired_moments(
    before: Iterable[Taken], after: Iterable[Taken], *, group: Callable[[int], int] = together
) -> dict[str, dict[int, Moments]]:
    """Moments of what two sweeps over the same prompts took down, at every site and for each group of prompts.

    Groups are what a bootstrap resamples, or what one half is held out of. Cost: 3 width^2 numbers in float64 for
    each group at each site; prompts are groups of their own with ``group=int``.

    Args:
        before: What was taken down of the base.
        after: What was taken down of the tuned model, with the same choice of tokens.
        group: From the number of a prompt to that of its group.

    Raises:
        IncompatibleUpdate: If the two do not belong together.
    """
    gathered: dict[tuple[str, int], _Gathered] = {}
    found: dict[str, dict[int, Moments]] = {}

    def add(site: str, number: int) -> None:
        one, other = gathered.pop((site, number)).columns()
        moments = Moments.of(one, other, site)
        groups = found.setdefault(site, {})
        groups[number] = groups[number] + moments if number in groups else moments

    for one, other in zip_longest(before, after):
        _check_pair(one, other)
        number = group(one.prompt)
        for site, rows in one.rows.items():
            waiting = gathered.setdefault((site, number), _Gathered())
            if waiting.full_with(rows, other.rows[site].to(rows.device)):
                add(site, number)
    for site, number in list(gathered):
        add(site, number)
    return {site: dict(sorted(groups.items())) for site, groups in found.items()}


def layer_inputs(
    taken: Iterable[Taken],
    *,
    group: Callable[[int], int] = together,
    widest: int = WIDEST,
    sample_tokens: int = 8,
) -> dict[str, dict[int, Inputs]]:
    """What each layer reads, at every site and for each group of prompts, from a sweep over inputs.

    Layers that read one and the same tensor, as queries, keys and values do, share one answer.

    Args:
        taken: What was taken down, of the side ``inputs``.
        group: From the number of a prompt to that of its group.
        widest: Most inputs of which the second moment is kept: 8 bytes times their square for each group.
        sample_tokens: Of a wider layer, how many of the chosen tokens of each prompt are kept.
    """
    gathered: dict[tuple[str, int], _Gathered] = {}
    found: dict[str, dict[int, Inputs]] = {}
    readers: dict[str, str] = {}

    def add(site: str, number: int) -> None:
        (rows,) = gathered.pop((site, number)).columns()
        groups = found.setdefault(site, {})
        part: Inputs = SecondMoment.of(rows, site) if rows.shape[1] <= widest else TokenSample.of(rows, site)
        groups[number] = groups[number] + part if number in groups else part

    for each in taken:
        first: dict[int, str] = {}
        for site, rows in each.rows.items():
            # Who reads what is how the model is built, and the same on every prompt.
            if readers.setdefault(site, first.setdefault(id(rows), site)) == site:
                kept = rows if rows.shape[1] <= widest else rows[:sample_tokens].clone()
                number = group(each.prompt)
                if gathered.setdefault((site, number), _Gathered()).full_with(kept):
                    add(site, number)
    for site, number in list(gathered):
        add(site, number)
    return {site: dict(sorted(found[first].items())) for site, first in readers.items()}


def sampled(taken: Iterable[Taken], tokens: int) -> dict[str, Tensor]:
    """A few of the chosen tokens of each prompt, in one matrix a site: the same ones whatever the order of prompts.

    Args:
        taken: What was taken down.
        tokens: How many of each prompt.
    """
    found: dict[str, list[Tensor]] = {}
    for each in sorted(taken, key=lambda each: (each.key, each.prompt)):
        for site, rows in each.rows.items():
            found.setdefault(site, []).append(rows[:tokens])
    return {site: torch.cat(parts) for site, parts in found.items()}


def mismatched(taken: Sequence[Taken]) -> list[Taken]:
    """The same prompts, each with the rows of another: what a comparison finds where there is nothing to be found.

    Raises:
        NotMeasurable: If there is no other prompt, or prompts differ in their number of tokens.
    """
    if len({len(each.positions) for each in taken}) > 1:
        raise NotMeasurable("a null by pairing prompts with others: choose as many tokens of each prompt")
    for shift in range(1, len(taken)):
        others = [taken[at - shift] for at in range(len(taken))]
        if all(each.key != other.key for each, other in zip(taken, others, strict=True)):
            return [replace(each, rows=other.rows) for each, other in zip(taken, others, strict=True)]
    raise NotMeasurable("a null by pairing prompts with others: too many of the prompts are the same")


class _Gathered:
    """Rows that wait until there are enough of them."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, ...]] = []
        self._rows = 0

    def full_with(self, *rows: Tensor) -> bool:
        """Take up rows; say whether there are enough."""
        self._parts.append(rows)
        self._rows += len(rows[0])
        return self._rows >= FULL_ROWS

    def columns(self) -> list[Tensor]:
        """All rows, one matrix for each kind."""
        return [torch.cat(parts) for parts in zip(*self._parts, strict=True)]


def _check_pair(one: Taken | None, other: Taken | None) -> None:
    if one is None or other is None:
        raise IncompatibleUpdate("one sweep has more prompts than the other; sweep both models over the same prompts")
    if one.key != other.key or one.positions != other.positions:
        raise IncompatibleUpdate(
            f"prompt {one.prompt} of one sweep and prompt {other.prompt} of the other are not the same tokens; "
            "sweep both models over the same prompts with the same choice"
        )
    if one.rows.keys() != other.rows.keys():
        odd = sorted(one.rows.keys() ^ other.rows.keys())[0]
        raise IncompatibleUpdate(f"'{odd}' was taken down in only one of the two sweeps; choose the same sites")
