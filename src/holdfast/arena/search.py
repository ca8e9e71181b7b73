"""The search of learning rates: equal tries for everybody, judged on validation items alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from holdfast.arena.executor import Watch
from holdfast.arena.rates import Judged, choose, next_rate, rates_around
from holdfast.core.evidence import RateTry
from holdfast.core.recipe import ComparisonOptions


class Attempt(Protocol):
    """A job that tries a rate."""

    @property
    def name(self) -> str: ...

    @property
    def failure(self) -> str | None:
        """Why it cannot be finished, if it cannot."""
        ...


AnyAttempt = TypeVar("AnyAttempt", bound=Attempt)
Do = Callable[[Sequence[AnyAttempt]], Mapping[str, str]]
"""Runs jobs to their end, and says of those that did not finish why, by name."""


@dataclass
class Search:
    """The rates of one entrant.

    Attributes:
        tried: Rates with what validation says of them; nothing for runs that failed.
        failures: Rates whose runs failed, with the reason.
        chosen: The rate to be used; nothing while all failed.
        by_target: The rate that the target score alone would choose.
        unspent: Further tries that were allowed and not needed.
    """

    tried: dict[float, Judged | None] = field(default_factory=dict)
    failures: dict[float, str] = field(default_factory=dict)
    chosen: float | None = None
    by_target: float | None = None
    unspent: int = 0

    def tries(self) -> tuple[RateTry, ...]:
        """All rates tried, ascending, as they are told."""
        return tuple(
            RateTry(
                learning_rate=rate,
                target=result.mean if result else None,
                kept=result.kept if result else None,
                failure=self.failures.get(rate),
            )
            for rate, result in sorted(self.tried.items())
        )


def search_rates(
    options: ComparisonOptions,
    centres: Mapping[str, float],
    attempt: Callable[[str, float], AnyAttempt],
    judge: Callable[[AnyAttempt], Judged | None],
    do: Do[AnyAttempt],
    watch: Watch,
) -> dict[str, Search]:
    """Try rates for every entrant, and further ones where the best lies at an end of those tried.

    Args:
        options: How many rates, how far apart, and by which rule one is chosen.
        centres: The rate around which those of an entrant lie, by label, before the common factor.
        attempt: The job that tries a rate, by label and rate.
        judge: What validation says of a job that was done; nothing where it has no scores.
        do: Runs jobs to their end.
        watch: For progress.

    Returns:
        The search of every entrant by label.
    """
    spacing, tries = options.learning_rate_spacing, options.learning_rate_tries
    searches = {label: Search(unspent=options.learning_rate_extra_tries) for label in centres}
    wanted = {
        label: rates_around(centre * options.learning_rate_scale, tries, spacing) for label, centre in centres.items()
    }
    while any(wanted.values()):
        jobs = {(label, rate): attempt(label, rate) for label, rates in wanted.items() for rate in rates}
        watch.stage("learning rates", len(jobs))
        problems = do(list(jobs.values()))
        for (label, rate), job in jobs.items():
            found = searches[label]
            found.tried[rate] = result = judge(job)
            if result is None:
                found.failures[rate] = job.failure or problems[job.name]
            found.chosen = choose(found.tried, options.learning_rate_rule)
            found.by_target = choose(found.tried, "target")
        # A single rate is no search, and has no ends.
        wanted = {label: _further(found, spacing) if tries > 1 else () for label, found in searches.items()}
    return searches


def _further(found: Search, spacing: float) -> tuple[float, ...]:
    """The next rate to try, if one is needed and allowed; it is taken off what is unspent."""
    rate = next_rate(found.tried, found.chosen, spacing) if found.chosen is not None and found.unspent else None
    if rate is None:
        return ()
    found.unspent -= 1
    return (rate,)
