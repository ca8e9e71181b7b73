"""How far the numbers of sequences may be off, over other items, seeds and orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from holdfast.core.errors import NotMeasurable
from holdfast.core.record import Record
from holdfast.metrics.continual.formulas import METRICS
from holdfast.metrics.continual.metric import Metric
from holdfast.metrics.continual.resampling import SequenceDraws, resample_runs
from holdfast.metrics.continual.runs import SequenceRun
from holdfast.metrics.interval import Interval, interval


class Estimate(NamedTuple):
    """A number of several runs, and how far it may be off.

    Attributes:
        value: Mean over the runs.
        spread: Its interval.
        covers: What was drawn anew: ``items``, and ``orders``, ``seeds`` or ``runs`` where there are several.
    """

    value: float
    spread: Interval
    covers: tuple[str, ...]


def sequence_interval(draws: SequenceDraws, metric: Metric, level: float = 0.95) -> Estimate:
    """A metric of several runs with the middle of its draws, bias-corrected.

    The largest of noisy scores lies too high, in the data and once more in every resample; the correction (Efron 1987,
    with acceleration 0) takes back a part. Where several stages are about equal, intervals of `forgetting_chaudhry`
    still hold the truth too seldom, and those of `forgetting_mammoth`, which cannot be below 0, hardly ever hold 0. Ask
    `backward_transfer_gem` whether anything was forgotten: it compares two stages that were named beforehand.

    Args:
        draws: From `resample_runs`.
        metric: Which.
        level: Share of repetitions in which such an interval should hold the truth.

    Returns:
        Number and interval.

    Raises:
        NotMeasurable: If the metric is undefined in a run or a resample.
        ValueError: If the level is not within 0 and 1.
    """
    value = draws.estimate(metric)
    spread = interval(draws.draws(metric), value, level, acceleration=0.0)
    return Estimate(value, spread, ("items", *(source.name for source in draws.sources)))


def continual_intervals(
    runs: Sequence[SequenceRun],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    subject: str = "sequence",
) -> tuple[Record, ...]:
    """Every number of repeated sequences with its interval.

    Args:
        runs: Of the same tasks and items, in any orders and with any seeds.
        resamples: How many times to draw.
        seed: Seed of the draws.
        level: Share of repetitions in which an interval should hold the truth.
        subject: What was measured.

    Returns:
        One record a metric; one without a value has the reason. Where the number is defined and a resample divides by
        0, there is a value without a spread.

    Raises:
        UnusableScores: If the runs are not repetitions of each other.
        ValueError: If no resamples are asked for or the level is not within 0 and 1.
    """
    draws = resample_runs(runs, resamples, seed)
    return tuple(_record(draws, metric, level, subject) for metric in METRICS)


def _record(draws: SequenceDraws, metric: Metric, level: float, subject: str) -> Record:
    quantity = metric.named(draws.runs[0].ceiling)
    try:
        value = draws.estimate(metric)
    except NotMeasurable as undefined:
        return Record(subject=subject, quantity=quantity, unit="frac", reason=str(undefined))
    try:
        low, high = sequence_interval(draws, metric, level).spread
    except NotMeasurable:
        return Record(subject=subject, quantity=quantity, unit="frac", value=value)
    return Record(subject=subject, quantity=quantity, unit="frac", value=value, spread=(low, high))
