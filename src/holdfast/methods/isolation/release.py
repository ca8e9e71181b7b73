"""Letting go slowly: the updates of a released scalar grow to their full size over some steps. Not in the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.algebra.mask import Mask


@dataclass
class _Easing:
    """Released scalars of one tensor: where they are, how many steps ago they were released, their last values."""

    positions: Tensor
    steps: Tensor
    values: Tensor


class Release:
    """Scales the updates of released scalars by 1/n, 2/n, ... in the n steps after their release.

    Args:
        parts: Tensors by name, sharing memory with what the optimizer moves.
        steps: Steps until a released scalar is quite free; 0 switches this off.
    """

    def __init__(self, parts: Mapping[str, Tensor], steps: int) -> None:
        self._parts, self._steps = parts, steps
        self._easing: dict[str, _Easing] = {}

    @property
    def acts(self) -> bool:
        """Whether releases are slowed at all."""
        return self._steps > 0

    def let_go(self, released: Mask, held: Mask) -> None:
        """Take up what is released now, and drop what is held again."""
        if not self.acts:
            return
        for name, part in self._parts.items():
            positions = released[name].positions()
            steps = torch.zeros(len(positions), dtype=torch.long, device=positions.device)
            if name in self._easing:
                old = self._easing[name]
                free = ~held[name].dense().view(-1)[old.positions]
                positions = torch.cat([old.positions[free], positions])
                steps = torch.cat([old.steps[free], steps])
            self._easing[name] = _Easing(positions, steps, part.view(-1)[positions])

    def ease(self) -> None:
        """After a step: shorten the updates of what was released lately."""
        for name, easing in self._easing.items():
            flat = self._parts[name].view(-1)
            easing.steps += 1
            share = (easing.steps / self._steps).to(flat.dtype)
            easing.values += share * (flat[easing.positions] - easing.values)
            flat[easing.positions] = easing.values
            slow = easing.steps < self._steps
            self._easing[name] = _Easing(easing.positions[slow], easing.steps[slow], easing.values[slow])

    def extra_bytes(self) -> int:
        """Memory that it keeps."""
        tensors = (t for easing in self._easing.values() for t in (easing.positions, easing.steps, easing.values))
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        return {
            f"{what}.{name}": tensor
            for name, easing in self._easing.items()
            for what, tensor in (("positions", easing.positions), ("steps", easing.steps))
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state; the tensors have their values of then."""
        for name, part in self._parts.items():
            if f"positions.{name}" in state:
                positions = state[f"positions.{name}"].clone()
                steps = state[f"steps.{name}"].clone()
                self._easing[name] = _Easing(positions, steps, part.view(-1)[positions])
