"""How far along a path a point is, as a share of the distance from the base to the end.

At one ``t`` different paths have moved different distances, so paths are compared at equal steps and never at equal
``t``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from typing import Protocol, runtime_checkable

from scipy.optimize import brentq

from holdfast.core.errors import NotMeasurable
from holdfast.weights.path import DenseLine, Path
from holdfast.weights.paths.dense import FolderLine
from holdfast.weights.update import Update

GRID = 11
SLACK = 1e-6
"""How much shorter a later point may be, as a share of the whole way: rounding."""


@runtime_checkable
class _Prepared(Protocol):
    """A path that answers many points at the price of one."""

    def updates(self) -> AbstractContextManager[Callable[[float], Update]]: ...


def relative_step(path: Path, t: float) -> float:
    """How far the point at ``t`` is from the base: ``||dW(t)||_F / ||dW(1)||_F`` over all changed weights together.

    Raises:
        NotMeasurable: If the path ends where it starts.
    """
    with steps_along(path) as step:
        return step(t)


@contextmanager
def steps_along(path: Path) -> Iterator[Callable[[float], float]]:
    """The relative step as a function of ``t``, for many points of one path.

    Raises:
        NotMeasurable: If the path ends where it starts.
    """
    with _updates(path) as at:
        whole = at(1).norm()
        if whole == 0:
            raise NotMeasurable(f"steps along the path '{path.label}': it ends at the base, where it starts")
        straight = isinstance(path, DenseLine | FolderLine)
        yield lambda t: t if straight or t == 1 else at(t).norm() / whole


def at_step(path: Path, step: float, tolerance: float = 1e-7) -> float:
    """The ``t`` at which a path has gone a share of its whole way.

    Args:
        path: The path.
        step: The relative step that is wanted, from 0 to 1.
        tolerance: How closely ``t`` is found.

    Returns:
        ``t`` in [0, 1].

    Raises:
        NotMeasurable: If the path has no such point, or goes back on a grid of 11 points, so that it may have several.
    """
    with steps_along(path) as along:
        grid = [index / (GRID - 1) for index in range(GRID)]
        steps = [along(t) for t in grid]
        for index, (now, then) in enumerate(pairwise(steps)):
            if then < now - SLACK:
                raise NotMeasurable(
                    f"the path '{path.label}' has gone {now:.4g} of its way at {grid[index]:g} and {then:.4g} at "
                    f"{grid[index + 1]:g}: it goes back, and a step does not say which point is meant"
                )
        if not steps[0] <= step <= 1:
            raise NotMeasurable(
                f"a step of {step:g} along the path '{path.label}', which goes from {steps[0]:.4g} to 1"
            )
        if step in steps:
            return grid[steps.index(step)]
        end = next(index for index, gone in enumerate(steps) if gone > step)
        found: float = brentq(lambda t: along(t) - step, grid[end - 1], grid[end], xtol=tolerance)
        return found


def _updates(path: Path) -> AbstractContextManager[Callable[[float], Update]]:
    return path.updates() if isinstance(path, _Prepared) else _plain(path)


@contextmanager
def _plain(path: Path) -> Iterator[Callable[[float], Update]]:
    yield path.at
