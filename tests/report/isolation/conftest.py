"""Courses of choices made up from scores that drift, stand still, or are drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from holdfast.core.evidence import Evidence
from holdfast.core.isolation import IsolationCourse, Refresh, Share
from holdfast.metrics.mask_drift import ages_steps, chance_jaccard, jaccard_matrix, turnover_frac

SIZE = 20_000
BLOCKS, MODULES = 4, ("q_proj", "v_proj", "down_proj")
EVERY = 20

MakeCourse = Callable[..., IsolationCourse]
CourseFrom = Callable[..., IsolationCourse]
WithCourses = Callable[..., Evidence]


@pytest.fixture(scope="session")
def course() -> MakeCourse:
    """Makes a course; see ``made_course``."""
    return made_course


@pytest.fixture(scope="session")
def course_from() -> CourseFrom:
    """Makes a course of masks and steps; see ``course_of``."""
    return course_of


@pytest.fixture(scope="session")
def holding() -> WithCourses:
    """Puts courses into evidence; see ``with_courses``."""
    return with_courses


@pytest.fixture(scope="session")
def evidence(build, made) -> Evidence:
    """A comparison with everything in it: drifting, fluctuating, standing choices, a control, and who holds nothing."""
    told = {
        "epi": [made_course("drift", draw=draw, notes=("Importance was seen before clipping.",)) for draw in (1, 2)],
        "noisy": [made_course("noise", draw=draw, notes=("Importance was seen after clipping.",)) for draw in (3, 4)],
        "static": [made_course("drift", choices=1, draw=draw) for draw in (5, 6)],
        "random": [made_course("random", draw=draw) for draw in (7, 8)],
    }
    names = ("lora", *told)
    return with_courses(build({name: made(0.4, 0.2) for name in names}), told)


def made_course(
    kind: str,
    *,
    choices: int = 10,
    share: float = 0.01,
    draw: int = 0,
    first: int = 20,
    notes: Sequence[str] = (),
    sizes: Sequence[int] | None = None,
) -> IsolationCourse:
    """A course of choices of the highest scores.

    Args:
        kind: ``drift``: scores wander; ``noise``: they stand, and every choice sees them through noise of its own;
            ``still``: they stand; ``random``: they are drawn anew.
        choices: How many.
        share: Of the scalars, how much each holds.
        draw: Seed.
        first: Step of the first choice.
        notes: What is said of it.
        sizes: Scalars of each choice, where they are to differ.
    """
    rng = np.random.default_rng(draw)
    core, scores, masks = rng.standard_normal(SIZE), rng.standard_normal(SIZE), []
    for choice in range(choices):
        if kind == "drift":
            scores = 0.96 * scores + np.sqrt(1 - 0.96**2) * rng.standard_normal(SIZE)
        elif kind == "noise":
            scores = core + 0.4 * rng.standard_normal(SIZE)
        elif kind == "random":
            scores = rng.standard_normal(SIZE)
        else:
            scores = core
        mask = np.zeros(SIZE, dtype=bool)
        mask[np.argsort(-scores)[: round(share * SIZE) if sizes is None else sizes[choice]]] = True
        masks.append(mask)
    return course_of(masks, [first + EVERY * choice for choice in range(choices)], notes, at_random=kind == "random")


def course_of(
    masks: Sequence[np.ndarray], steps: Sequence[int], notes: Sequence[str] = (), *, at_random: bool = False
) -> IsolationCourse:
    """The course of these choices at these steps."""
    size = len(masks[0]) if masks else SIZE
    packed = np.packbits(np.array(masks, dtype=bool).reshape(len(masks), size), axis=1)
    refreshes = []
    for place, (step, mask) in enumerate(zip(steps, masks, strict=True)):
        gone = turnover_frac(packed[place - 1], packed[place]) if place else None
        released = None if gone is None else round(gone * int(masks[place - 1].sum()))
        refreshes.append(Refresh(step=step, held=int(mask.sum()), released=released, seconds=0.02 + 0.001 * place))
    parts = np.array_split(masks[-1], BLOCKS * len(MODULES)) if masks else []
    return IsolationCourse(
        method="epi(ratio=0.01)",
        eligible=size,
        params=2 * size,
        examined=size,
        refreshes=tuple(refreshes),
        jaccard=tuple(map(tuple, jaccard_matrix(packed))),
        chance_jaccard=chance_jaccard(refreshes[-1].held, size) if masks else None,
        ages_steps=tuple(ages_steps(packed, steps)),
        shares=tuple(
            Share(
                block=place // len(MODULES), module=MODULES[place % len(MODULES)], held=int(part.sum()), size=len(part)
            )
            for place, part in enumerate(parts)
        ),
        extra_bytes=3 * size,
        notes=tuple(notes),
        at_random=at_random,
    )


def with_courses(evidence: Evidence, told: Mapping[str, Sequence[IsolationCourse]]) -> Evidence:
    """The same evidence, in which runs of some entrants held scalars: a course a run, in the order of the seeds."""
    entrants = []
    for entrant in evidence.entrants:
        courses = told.get(entrant.label, ())
        runs = [
            run.model_copy(update={"isolation": courses[place]}) if place < len(courses) else run
            for place, run in enumerate(entrant.runs)
        ]
        entrants.append(entrant.model_copy(update={"runs": tuple(runs)}))
    return evidence.model_copy(update={"entrants": tuple(entrants)})
