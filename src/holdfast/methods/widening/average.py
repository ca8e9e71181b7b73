"""A running average of weights, which stands in for them between the steps of a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from torch import Tensor, nn

from holdfast.algebra.delta import exact
from holdfast.core.errors import DamagedCheckpoint
from holdfast.weights.adapter import trainable_tensors

Share = Callable[[int, int, int], float | None]
"""What share of the average the newest weights get: by how many went into it, the step (from 0), and the steps.

None leaves them out.
"""

_LIVE, _AVERAGE, _TAKEN = "live/", "average/", "taken"


class Average:
    """The average of what is trained, in the model whenever no step is under way.

    Each step begins by giving back the weights that the optimizer left, bit for bit, and ends by putting the average in
    their place. So whatever is saved, evaluated or measured between steps is the average, and so is what training ends
    with, however it ends. The average is kept in float32 and rounded once to the precision of the weights.

    Cost: a float32 copy of what is trained, and one more in its own precision; three passes over it a step.

    Args:
        model: What of it has ``requires_grad`` when the first step ends is averaged.
        share: The kind of average.
    """

    def __init__(self, model: nn.Module, share: Share) -> None:
        self._model, self._share = model, share
        self._live: dict[str, Tensor] = {}
        self._average: dict[str, Tensor] = {}
        self._in_place = False
        self.taken = 0

    @cached_property
    def tensors(self) -> Mapping[str, nn.Parameter]:
        """What is averaged, by name."""
        return trainable_tensors(self._model)

    def begin_step(self) -> None:
        """Give back the weights that the optimizer is to move."""
        if self._in_place:
            for name, tensor in self.tensors.items():
                tensor.detach().copy_(self._live[name])
            self._in_place = False

    def end_step(self, step: int, steps: int) -> None:
        """Take the weights into the average, as far as they belong there, and put it in their place."""
        share = self._share(self.taken, step, steps)
        if share is not None:
            for name, tensor in self.tensors.items():
                newest = exact(tensor.detach())
                if name in self._average:
                    self._average[name].lerp_(newest, share)
                else:
                    self._average[name] = newest.clone()
            self.taken += 1
        if self._average:
            self._put_in_place()

    def state(self) -> dict[str, Tensor]:
        """The weights as the optimizer left them and the average, once there is one, and how many went into it."""
        live = {_LIVE + name: tensor for name, tensor in self._live.items()}
        average = {_AVERAGE + name: tensor for name, tensor in self._average.items()}
        return {**live, **average, _TAKEN: torch.tensor(self.taken)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state that was taken between steps; the model holds its average afterwards.

        Raises:
            DamagedCheckpoint: If it is of other tensors than those that are trained.
        """
        self.taken = int(state[_TAKEN])
        if not self.taken:
            return
        for name, tensor in self.tensors.items():
            found = state.get(_LIVE + name)
            if found is None or found.shape != tensor.shape or _AVERAGE + name not in state:
                raise DamagedCheckpoint(
                    f"an average to be gone on with has no '{name}' of shape {tuple(tensor.shape)}: was it saved in a "
                    "training of other tensors?"
                )
        self._live = {name: state[_LIVE + name].to(tensor, copy=True) for name, tensor in self.tensors.items()}
        self._average = {
            name: state[_AVERAGE + name].to(tensor.device, copy=True) for name, tensor in self.tensors.items()
        }
        self._show()

    def _put_in_place(self) -> None:
        for name, tensor in self.tensors.items():
            if name not in self._live:
                self._live[name] = torch.empty_like(tensor, requires_grad=False)
            self._live[name].copy_(tensor.detach())
        self._show()

    def _show(self) -> None:
        self._in_place = True
        for name, tensor in self.tensors.items():
            tensor.detach().copy_(self._average[name])
