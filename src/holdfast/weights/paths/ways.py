"""Straight ways through an adapter's tensors: all that were trained, or the factor in which the change is linear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from holdfast.core.errors import NotMeasurable
from holdfast.weights.path import between
from holdfast.weights.paths.adapter import Points
from holdfast.weights.paths.factors import factors_of, named
from holdfast.weights.paths.starts import Start


def own_way(final: Mapping[str, Tensor], starts: Mapping[str, Start]) -> Points:
    """All trained tensors, straight from their initial to their final values.

    Args:
        final: The adapter, by stored names.
        starts: What is known of its tensors before training.

    Raises:
        NotMeasurable: If an initial value is not known.
    """
    return straight(final, {name: _initial(name, starts) for name in _trained(starts)})


def additive_way(final: Mapping[str, Tensor], starts: Mapping[str, Start], config: Mapping[str, Any]) -> Points:
    """The factor in which the change is linear, from 0; what multiplies it stays; other trained tensors go straight.

    Args:
        final: The adapter, by stored names.
        starts: What is known of its tensors before training.
        config: The adapter's configuration.

    Raises:
        NotMeasurable: If the change is linear in none of its tensors, or an initial value is needed and not known.
    """
    factors = factors_of(config)
    begun = {
        name: torch.zeros_like(final[name]) if named(name, factors.scaled) else _initial(name, starts)
        for name in _trained(starts)
        if not named(name, factors.held)
    }
    return straight(final, begun)


def straight(final: Mapping[str, Tensor], begun: Mapping[str, Tensor]) -> Points:
    """Straight lines from initial to final values; tensors without an initial value stay as they ended."""

    def points(t: float) -> dict[str, Tensor]:
        return {name: between(begun[name], end, t) if name in begun else end for name, end in final.items()}

    return points


def _trained(starts: Mapping[str, Start]) -> list[str]:
    return [name for name, start in starts.items() if start.trained]


def _initial(name: str, starts: Mapping[str, Start]) -> Tensor:
    value = starts[name].value
    if value is None:
        unknown = sum(start.trained and start.value is None for start in starts.values())
        raise NotMeasurable(
            f"'{name}' started at random and nobody kept its initial value ({unknown} such tensors); "
            "give the initial tensors of the training, or take another path, such as the dense line"
        )
    return value
