"""What options of several methods have in common: shares that are trained, and steps between choices."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import ClassVar, Protocol

from holdfast.core.errors import RecipeError
from holdfast.methods.on_top import OnTop


class Named(Protocol):
    """A method, as far as messages about its options need it.

    Attributes:
        name: Its name.
    """

    name: ClassVar[str]


def wrong_trained_share(method: OnTop, option: str = "ratio") -> Iterator[str]:
    """The fault of a share that is to be trained and is not above 0 and at most 1."""
    value = getattr(method, option)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        yield (
            f"{method.name}: {option}={value!r} must be a share above 0 and at most 1: 0.1 trains ten percent, "
            "1 trains everything"
        )


def wrong_interval(method: OnTop) -> Iterator[str]:
    """The fault of an ``interval`` that is no number of steps; one that is left open has none."""
    value = getattr(method, "interval")  # noqa: B009  # not every method has one
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value >= 1
    if value is not None and not (whole and (value == math.inf or value == int(value))):
        yield f"{method.name}: interval={value!r} must be a whole number of steps of 1 or more, or infinite"


def wrong_seed(method: Named) -> Iterator[str]:
    """The fault of a ``seed`` that is no natural number; one that is left open has none."""
    value = getattr(method, "seed")  # noqa: B009  # not every method has one
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        yield f"{method.name}: seed={value!r} must be a whole number of 0 or more"


def steps_between(method: OnTop, interval: float | None, steps: int | None) -> float:
    """The steps from one choice to the next: those asked for, or a twentieth of the training, but at least 10.

    Raises:
        RecipeError: If they are left open, and nobody knows how long training is.
    """
    if interval is not None:
        return interval
    if steps is None:
        raise RecipeError(
            [f"{method.name}: the default of interval depends on how long training is; give interval, or steps"]
        )
    return max(10, steps // 20)


def literal(spec: str) -> str:
    """A spec that can be read again: infinity is no literal, and a number beyond all others is."""
    return re.sub(r"=inf\b", "=1e999", spec)
