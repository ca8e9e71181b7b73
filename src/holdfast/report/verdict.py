"""What a comparison found, in words.

Nothing is called a gain, a loss or a difference unless its interval leaves out 0, and against LoRA unless the p-value,
adjusted for all entrants, is small as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.metrics.frontier import SURELY
from holdfast.metrics.tradeoff import BASE
from holdfast.report.comparison import Comparison, PointResult
from holdfast.report.versus import LORA
from holdfast.report.wording import above_zero, base_name, below_zero, counted, listed, measured, quoted, signed, span

SMALL_P = 0.05
MOST_NAMES = 6
"""Names in a sentence; of more the rest is counted."""


def headline(comparison: Comparison) -> str:
    """The title of a report."""
    methods = counted(len(comparison.points) - 1, "fine-tuning method")
    return f"{methods} on {base_name(comparison.base)}, learning {quoted(comparison.learn)}"


def verdict(comparison: Comparison) -> str:
    """A paragraph that says what was found, and no more than the intervals allow."""
    entrants = [point for point in comparison.points if point.name != BASE]
    scored = [point for point in entrants if point.failure is None]
    if not scored:
        return "No method has a result, so there is nothing to compare." if entrants else "No method took part."
    ranked = [point for point in scored if point.ranked]
    sentences = [
        *_gained(comparison, ranked),
        *_gained_apart([point for point in scored if not point.ranked]),
        *_frontier(comparison, ranked),
        *_dominated(scored),
        *_forgot(scored),
        *_against_lora(scored),
        *_rewound(scored, ranked),
        *_one_seed(scored),
        *_missing([point for point in entrants if point.failure is not None]),
    ]
    return " ".join(sentences)


def _gained(comparison: Comparison, ranked: Sequence[PointResult]) -> Iterable[str]:
    """Who learned, and who of those lost least."""
    target = quoted(comparison.learn)
    winners = sorted((point for point in ranked if above_zero(point.gain_interval)), key=_gain, reverse=True)
    if not ranked:
        yield "No method at the budget has a result."
    elif not winners:
        nobody = f"{ranked[0].name}, the only method at the budget, did not gain"
        nobody = "no method at the budget gained" if len(ranked) > 1 else nobody
        yield f"On {target}, {nobody} beyond the noise of measurement."
    elif len(ranked) == 1:
        only = winners[0]
        yield f"On {target}, {only.name}, the only method at the budget, gained {_amount(only, comparison)}."
        yield f"It {_loss(only)}."
    else:
        best, mildest = winners[0], min(winners, key=_forgetting)
        everybody = "both" if len(ranked) == 2 else f"all {len(ranked)}"
        share = everybody if len(winners) == len(ranked) else f"{len(winners)} of {len(ranked)}"
        yield (
            f"On {target}, {share} methods at the budget gained beyond the noise of measurement; the largest gain "
            f"measured is that of {best.name}, {_amount(best, comparison)}."
        )
        if len(winners) == 1:
            yield f"It {_loss(best)}."
        elif mildest is best:
            yield f"Of those that gained, it also kept most: it {_loss(best)}."
        else:
            yield f"Of those that gained, {mildest.name} kept most: it {_loss(mildest)}."
    worse = [point.name for point in ranked if below_zero(point.gain_interval)]
    if worse:
        yield f"Worse than the base on the target itself: {_names(worse)}."


def _gained_apart(apart: Sequence[PointResult]) -> Iterable[str]:
    """Who learned outside the budget."""
    gains = [f"{p.name} ({signed(_gain(p))})" for p in apart if above_zero(p.gain_interval)]
    if gains:
        yield f"Of those shown apart, {_names(gains)} gained too."


def _frontier(comparison: Comparison, ranked: Sequence[PointResult]) -> Iterable[str]:
    base = comparison.point(BASE)
    there = [point for point in ranked if point.on_frontier]
    sure = [point.name for point in there if (point.non_dominated_frac or 0.0) >= SURELY]
    if not there:
        yield "Nobody at the budget joins the untouched base on the frontier."
        return
    names = [*(["the untouched base"] if base.on_frontier else []), *(point.name for point in there)]
    if len(sure) == len(there):
        how_sure = "for sure" if len(sure) == 1 else "all methods among them for sure"
    else:
        how_sure = f"of the methods only {_names(sure)} for sure" if sure else "none of the methods for sure"
    yield f"On the frontier {'lies' if len(names) == 1 else 'lie'} {_names(names)}, {how_sure}."
    if not base.on_frontier:
        yield "The untouched base does not: a method is better than it on one side and no worse on the other."


def _dominated(scored: Sequence[PointResult]) -> Iterable[str]:
    beaten = [point.name for point in scored if (point.dominated_by_base_frac or 0.0) >= SURELY]
    if beaten:
        yield f"For sure no better than the untouched base on either side, and worse on one: {_names(beaten)}."


def _forgot(scored: Sequence[PointResult]) -> Iterable[str]:
    better = [point.name for point in scored if below_zero(point.forgetting_interval)]
    worse = [point.name for point in scored if above_zero(point.forgetting_interval)]
    unchanged = [point.name for point in scored if point.name not in (*better, *worse)]
    if len(worse) == len(scored) > 1:
        yield "Every method that has a result forgot something."
    if unchanged:
        yield f"No forgetting beyond the noise of measurement: {_names(unchanged)}."
    if better:
        yield f"Better than the base even on what was to be kept: {_names(better)}."


def _against_lora(scored: Sequence[PointResult]) -> Iterable[str]:
    compared = [(point.name, point.versus_lora) for point in scored if point.versus_lora is not None]
    groups = {
        "gained more": [n for n, v in compared if above_zero(v.gain_interval) and v.gain_p <= SMALL_P],
        "gained less": [n for n, v in compared if below_zero(v.gain_interval) and v.gain_p <= SMALL_P],
        "forgot less": [n for n, v in compared if below_zero(v.forgetting_interval) and v.forgetting_p <= SMALL_P],
        "forgot more": [n for n, v in compared if above_zero(v.forgetting_interval) and v.forgetting_p <= SMALL_P],
    }
    found = [f"{_names(names)} {what}" for what, names in groups.items() if names]
    if found:
        yield f"Against {LORA}, and adjusted for the number of comparisons, {'; '.join(found)}."
    elif compared:
        yield f"Against {LORA}, no difference holds once it is adjusted for the number of comparisons."


def _rewound(scored: Sequence[PointResult], ranked: Sequence[PointResult]) -> Iterable[str]:
    """What going back to the best points undoes, and whether it changes who lies on the frontier."""
    results = {point.name: point.rewound for point in scored if point.rewound is not None}
    if not results:
        return
    helped = [name for name, found in results.items() if above_zero(found.undone_interval)]
    rule = next(iter(results.values())).rule
    if not helped:
        yield f"Rewinding by {rule} undoes no forgetting beyond the noise."
        return
    most = max(helped, key=lambda name: results[name].undone)
    amount = measured(results[most].undone, results[most].undone_interval)
    yield f"Rewinding by {rule} undoes forgetting of {_names(helped)}, most of {most}: {amount}."
    before = {point.name for point in ranked if point.on_frontier}
    after = {point.name for point in ranked if point.name in results and results[point.name].on_frontier}
    came, went = sorted(after - before), sorted(before - after)
    if came:
        yield f"It brings {_names(came)} to the frontier."
    if went:
        yield f"It takes {_names(went)} off the frontier."


def _one_seed(scored: Sequence[PointResult]) -> Iterable[str]:
    if all(point.seeds == 1 for point in scored):
        yield "All this rests on one training seed; with another one it may come out differently."


def _missing(failed: Sequence[PointResult]) -> Iterable[str]:
    if failed:
        yield f"Without a result: {_names([point.name for point in failed])}."


def _names(names: Sequence[str]) -> str:
    return listed(names, MOST_NAMES)


def _loss(point: PointResult) -> str:
    amount = measured(point.forgetting, point.forgetting_interval)
    if above_zero(point.forgetting_interval):
        return f"forgot {amount}"
    if below_zero(point.forgetting_interval):
        return f"improved even what was to be kept (forgetting {amount})"
    return f"shows no forgetting beyond the noise ({amount})"


def _amount(point: PointResult, comparison: Comparison) -> str:
    unit = "" if comparison.gain_unit == "frac" else f" {comparison.gain_unit}"
    interval = "" if point.gain_interval is None else f" {span(point.gain_interval)}"
    return f"{signed(_gain(point))}{interval}{unit}"


def _gain(point: PointResult) -> float:
    return point.gain or 0.0


def _forgetting(point: PointResult) -> float:
    return point.forgetting or 0.0
