"""Rewindings made up without a model, small enough to be followed by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from holdfast.core.record import Record
from holdfast.core.rewinding import CHOSEN, FINAL, UNSEEN, Rewinding, Walk, WalkPoint
from holdfast.core.scores import PointScores, TaskScores
from holdfast.core.task import Split
from holdfast.report.rewinding.ways import Rewound, rewound

BuildRewinding = Callable[..., Rewinding]

ITEMS = 40

OWN = ((0.0, 0.0, 1.0), (0.25, 0.4, 1.0), (0.5, 0.8, 0.9), (0.75, 0.8, 0.6), (1.0, 0.8, 0.5))
"""t, target score and score on every kept task; target scores are reached by as many of the first items."""

RECORDS: Mapping[tuple[str, str], tuple[float | str, tuple[float, float] | None]] = {
    (CHOSEN, "gain"): (0.8, (0.66, 0.91)),
    (CHOSEN, "gain_kept"): (0.974, (0.94, 1.0)),
    (CHOSEN, "lead"): (0.0, (0.0, 0.0)),
    (CHOSEN, "forgetting"): (0.1, (0.04, 0.16)),
    (CHOSEN, "recovered"): (0.4, (0.3, 0.5)),
    (CHOSEN, "recovered_share"): (0.64, (0.57, 0.72)),
    (FINAL, "gain"): (0.8, (0.66, 0.91)),
    (FINAL, "forgetting"): (0.5, (0.4, 0.6)),
    (UNSEEN, "gain"): (0.76, (0.6, 0.9)),
    (UNSEEN, "lead"): (-0.04, (-0.1, 0.02)),
    (UNSEEN, "forgetting"): (0.12, (0.05, 0.2)),
    (UNSEEN, "recovered"): (0.38, (0.27, 0.49)),
}


def made_scores(
    target: float,
    kept: float,
    *,
    learn: Sequence[str] = ("sums",),
    keep: Sequence[str] = ("facts", "order"),
    text: str | None = "tales",
    split: Split = "validation",
) -> PointScores:
    """Scores on made-up tasks: the first items are right, and a text costs as many nats as was lost."""
    graded = [*((task, target) for task in learn), *((task, kept) for task in keep)]
    tasks = [
        TaskScores(
            task=task,
            ask="generate",
            unit="frac",
            ids=tuple(map(str, range(ITEMS))),
            values=tuple(float(item < round(score * ITEMS)) for item in range(ITEMS)),
            weights=(1.0,) * ITEMS,
        )
        for task, score in graded
    ]
    if text is not None:
        tasks.append(
            TaskScores(
                task=text,
                ask="read",
                unit="nats/token",
                ids=("a", "b"),
                values=(kept - 2.0, kept - 3.0),
                weights=(10.0, 30.0),
                kl_nats=(10.0 * (1 - kept), 30.0 * (1 - kept)),
            )
        )
    return PointScores(split=split, tasks=tuple(tasks))


def made_walk(
    path: str,
    points: Sequence[tuple[float, float, float]],
    steps: Mapping[float, float] | None = None,
    trained: int | None = None,
    **how: object,
) -> Walk:
    """A path through points; the step is t unless told else, a trajectory has so many optimizer steps."""
    walked = tuple(
        WalkPoint(
            t=t,
            step_frac=(steps or {}).get(t, t),
            scores=made_scores(target, kept, **how),  # type: ignore[arg-type]
            training_step=None if trained is None or t == 0 else round(t * trained),
        )
        for t, target, kept in points
    )
    return Walk(path=path, points=walked, evaluations=len(walked) - 1)


def made_rewinding(
    t: float = 0.5,
    points: Sequence[tuple[float, float, float]] = OWN,
    *,
    steps: Mapping[float, float] | None = None,
    rivals: Sequence[Walk] = (),
    records: Mapping[tuple[str, str], tuple[float | str, tuple[float, float] | None]] | None = None,
    test: Mapping[float, tuple[float, float]] | None = None,
    verdict: str | None = None,
    overshoot: str = "undecided: more items would tell",
    too_few: str | None = None,
    refused: Mapping[str, str] | None = None,
    **how: object,
) -> Rewinding:
    """A rewinding along the points above, with the records above unless told else."""
    found = {**RECORDS, **(records or {})}
    walk = made_walk("own", points, steps, **how)  # type: ignore[arg-type]
    learn = tuple(how.get("learn", ("sums",)))  # type: ignore[arg-type]
    keep = (*how.get("keep", ("facts", "order")), *filter(None, [how.get("text", "tales")]))  # type: ignore[misc]
    asked = {name: value for name, value in how.items() if name != "split"}
    return Rewinding(
        base="miniature",
        base_identity="0123",
        tuned="/runs/lora/final",
        form="lora adapter",
        learn=learn,
        keep=keep,
        rule="keep_gain(0.95)",
        walk=walk,
        rivals=tuple(rivals),
        refused=dict(refused or {}),
        t=t,
        verdict=verdict or f"rewind to {t:g}",
        overshoot=overshoot,
        too_few=too_few,
        records=tuple(_record(*name, *told) for name, told in found.items()),
        test={
            f"{at:g}": made_scores(*scores, split="test", **asked)  # type: ignore[arg-type]
            for at, scores in (test or {}).items()
        },
        environment={"holdfast": "0.1.0", "seconds": "1.5"},
    )


def _record(subject: str, quantity: str, told: float | str, spread: tuple[float, float] | None) -> Record:
    if isinstance(told, str):
        return Record(subject=subject, quantity=quantity, reason=told)
    return Record(subject=subject, quantity=quantity, value=told, unit="frac", spread=spread)


@pytest.fixture(scope="session")
def build() -> BuildRewinding:
    """Makes a rewinding; see ``made_rewinding``."""
    return made_rewinding


@pytest.fixture(scope="session")
def walked() -> Callable[..., Walk]:
    """Makes a path; see ``made_walk``."""
    return made_walk


@pytest.fixture(scope="session")
def full() -> Rewinding:
    """Everything there: a straight rival, a training trajectory that passes beyond the end, a refusal, test items."""
    straight = [(0.0, 0.0, 1.0), (0.4, 0.6, 0.9), (0.6, 0.8, 0.8), (1.0, 0.8, 0.5)]
    trained = [(0.0, 0.0, 1.0), (0.2, 0.4, 0.8), (0.6, 0.7, 0.6), (1.0, 0.8, 0.5)]
    return made_rewinding(
        rivals=(
            made_walk("dense", straight),
            made_walk("checkpoints", trained, {0.2: 0.4, 0.6: 1.1}, trained=200),
        ),
        refused={"additive": "the change of this tuner is linear in none of its tensors"},
        test={0.0: (0.0, 1.0), 0.5: (0.7, 0.85), 1.0: (0.7, 0.5)},
        too_few="too few items to decide: give more",
    )


@pytest.fixture(scope="session")
def view(full) -> Rewound:
    """The same, ready to be told."""
    return rewound(full)
