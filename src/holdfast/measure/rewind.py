"""From a finished checkpoint to the point on its way at which it should have been left."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version

from holdfast.core.errors import BadData, NotMeasurable
from holdfast.core.record import Record
from holdfast.core.rewinding import CHOSEN, FINAL, UNSEEN, Rewinding, Walk
from holdfast.core.scores import PointScores
from holdfast.measure.walking import Questions, Search, Tick, comparable, walk
from holdfast.metrics.operating_point.candidates import Candidate
from holdfast.metrics.operating_point.choice import Choice, choose
from holdfast.metrics.operating_point.crossfit import cross_fit
from holdfast.metrics.operating_point.finding import Finding
from holdfast.metrics.operating_point.overshoot import find_overshoot
from holdfast.weights.path import Walkable


def rewind(
    tuned: str,
    form: str,
    paths: Sequence[Walkable],
    questions: Questions,
    search: Search | None = None,
    *,
    refused: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    tick: Tick = lambda path, t, items: None,
) -> Rewinding:
    """Choose a point on the first path, by items that the training has not seen, and walk the others beside it.

    Args:
        tuned: The checkpoint, as it was named.
        form: How it is held.
        paths: Ways from the base to the checkpoint; the choice is made on the first.
        questions: What points are asked.
        search: How paths are searched, and by which rule a point is chosen.
        refused: Paths that were asked for and are not there, with the reasons.
        notes: What is to be told of the checkpoint and its paths beside what is measured.
        tick: For progress.

    Returns:
        The choice, with all that was measured for it.

    Raises:
        BadData: If an item that is to be kept is also to be learned.
        NotMeasurable: If the path ends where it starts, or what the rule needs was not measured.
    """
    search = search or Search()
    _require_apart(questions)
    started = time.perf_counter()
    base: dict[float, PointScores] = {}
    walks: list[Walk] = []
    for path in paths:
        walks.append(walk(path, questions, search, known=base, tick=tick))
        base = {0.0: walks[0].points[0].scores}  # it is the same on every path
    first, *others = walks
    candidates = comparable(first.points, questions)
    choice = choose(candidates, search.rule)
    return Rewinding(
        base=questions.base.name,
        base_identity=questions.base.identity,
        tuned=tuned,
        form=form,
        learn=tuple(questions.learn),
        keep=tuple(questions.keep),
        rule=choice.rule,
        walk=first,
        rivals=tuple(others),
        refused=dict(refused or {}),
        t=choice.candidate.t,
        verdict=choice.verdict,
        overshoot=_overshoot(candidates),
        too_few=choice.too_few,
        notes=tuple(notes),
        records=(*_records(choice), *_unseen(candidates, search)),
        environment={
            **{name: version(name) for name in ("holdfast", "torch", "transformers", "peft")},
            "seconds": f"{time.perf_counter() - started:.1f}",
        },
    )


def scored_at(
    path: Walkable, ts: Sequence[float], questions: Questions, tick: Tick = lambda path, t, items: None
) -> dict[float, PointScores]:
    """Scores of some points of a path on the items of other questions, such as test items."""
    with path.walk(questions.base.model) as bring:
        return {t: questions.asked(bring(t), partial(tick, path.label, t)) for t in ts}


def _require_apart(questions: Questions) -> None:
    """Refuse to keep what is to be learned: a gain would be booked as retention.

    Raises:
        BadData: If a task is on both sides, or an item of one is.
    """
    both = sorted(set(questions.learn) & set(questions.keep))
    if both:
        raise BadData(f"'{both[0]}' is both to be learned and to be kept; name it on one side")
    sides = [
        {
            (str(example.prompt), example.answer)
            for task in tasks.values()
            for example in task.examples(questions.split, questions.limit)
        }
        for tasks in (questions.learn, questions.keep)
    ]
    shared = sides[0] & sides[1]
    if shared:
        prompt, _ = min(shared)
        raise BadData(
            f"{len(shared)} of {len(sides[1])} items to be kept are also to be learned, the first is "
            f"'{prompt[:60]}'; take them out of one side"
        )


def _overshoot(candidates: Sequence[Candidate]) -> str:
    try:
        return find_overshoot(candidates).sentence
    except NotMeasurable as reason:
        return str(reason)


def _records(choice: Choice) -> list[Record]:
    unit = choice.candidate.target.unit
    kept = {scores.unit for scores in choice.candidate.kept.values()}
    lost = "frac" if "frac" in kept else "nats/token"
    return [
        _record(CHOSEN, "gain", choice.gain, unit),
        _record(CHOSEN, "gain_kept", choice.gain_kept, "frac"),
        _record(CHOSEN, "lead", choice.lead, unit),
        _record(CHOSEN, "forgetting", choice.forgetting, lost),
        _record(CHOSEN, "recovered", choice.recovered, lost),
        _record(CHOSEN, "recovered_share", choice.recovered_share, "frac"),
        _record(FINAL, "gain", choice.final_gain, unit),
        _record(FINAL, "forgetting", choice.final_forgetting, lost),
    ]


def _unseen(candidates: Sequence[Candidate], search: Search) -> list[Record]:
    """What the rule gives on items that did not choose: half of them choose, the other half tells."""
    try:
        fitted = cross_fit(candidates, search.rule)
    except NotMeasurable as reason:
        return [Record(subject=UNSEEN, quantity=name, reason=str(reason)) for name in ("gain", "forgetting")]
    return [
        _record(UNSEEN, "gain", fitted.gain, ""),
        _record(UNSEEN, "lead", fitted.lead, ""),
        _record(UNSEEN, "forgetting", fitted.forgetting, ""),
        _record(UNSEEN, "recovered", fitted.recovered, ""),
    ]


def _record(subject: str, quantity: str, finding: Finding, unit: str) -> Record:
    spread = None if finding.spread is None else (finding.spread.low, finding.spread.high)
    reason = finding.reason if finding.value is None else None
    return Record(subject=subject, quantity=quantity, value=finding.value, reason=reason, unit=unit, spread=spread)
