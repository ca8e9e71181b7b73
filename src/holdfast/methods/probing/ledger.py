"""What earlier tasks of a sequence were trained on, and how they moved the model: kept from stage to stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.algebra.bits import Bits
from holdfast.core.errors import HoldfastError
from holdfast.weights.past import PastStage

Overlap = Literal["allow", "exclude", "damp"]
"""What becomes of units that earlier tasks own: nothing, they are not chosen, or they are trained more slowly."""

CORE, SKETCH = "core.", "sketch."


@dataclass(frozen=True)
class Ledger:
    """What earlier tasks left.

    Attributes:
        cores: For every earlier task and tensor, flags of the units that it was trained on.
        sketches: For every earlier task a sketch of how its probe moved each tensor, as far as they were kept.
    """

    cores: Mapping[str, Mapping[str, Tensor]]
    sketches: Mapping[str, Mapping[str, Tensor]]

    @classmethod
    def read(cls, past: Sequence[PastStage], shapes: Mapping[str, tuple[int, ...]]) -> Ledger:
        """What earlier stages left, for tensors with units of these shapes.

        Raises:
            HoldfastError: If a stage chose among other tensors, or left nothing of this kind.
        """
        cores: dict[str, dict[str, Tensor]] = {}
        sketches: dict[str, dict[str, Tensor]] = {}
        for stage in past:
            kept = stage.keepsake()
            packed = {name.removeprefix(CORE): tensor for name, tensor in kept.items() if name.startswith(CORE)}
            if set(packed) != set(shapes):
                odd = sorted(set(packed) ^ set(shapes))
                raise HoldfastError(
                    f"stage '{stage.task}' chose among other tensors than this one: '{odd[0]}' is in only one of them. "
                    "Train all stages of a sequence with one method and one set of options"
                )
            cores[stage.task] = {name: _flags(stage.task, name, packed[name], shapes[name]) for name in shapes}
            sketches[stage.task] = {
                name.removeprefix(SKETCH): tensor for name, tensor in kept.items() if name.startswith(SKETCH)
            }
        return cls(cores, sketches)

    def owners(self) -> dict[str, Tensor]:
        """For every unit of every tensor, how many earlier tasks were trained on it; nothing in a first stage."""
        names = next(iter(self.cores.values()), ())
        return {name: torch.stack([core[name] for core in self.cores.values()]).sum(0) for name in names}

    def taken(self) -> dict[str, Tensor]:
        """Flags of the units that any earlier task was trained on; nothing in a first stage."""
        return {name: counts > 0 for name, counts in self.owners().items()}

    def owning_tasks(self, name: str) -> tuple[str, ...]:
        """The earlier tasks that were trained on any unit of a tensor."""
        return tuple(task for task, core in self.cores.items() if bool(core[name].any()))


def keepsake_of(cores: Mapping[str, Tensor], sketches: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What later stages need of one that is over.

    Args:
        cores: Flags of the units of every eligible tensor that were trained.
        sketches: Sketches of how the probe moved tensors; none where no strategy looks at them.
    """
    packed = {CORE + name: Bits.of(flags.cpu()).packed for name, flags in cores.items()}
    return {**packed, **{SKETCH + name: sketch.cpu() for name, sketch in sketches.items()}}


def _flags(task: str, name: str, packed: Tensor, shape: tuple[int, ...]) -> Tensor:
    try:
        return Bits(packed.cpu(), shape).dense()
    except ValueError as error:
        raise HoldfastError(
            f"what stage '{task}' left of '{name}' does not fit units of shape {shape}: was it trained with another "
            f"granularity? ({error})"
        ) from error
