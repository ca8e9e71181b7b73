"""Random choices that depend on a seed and on the step, and on nothing that was drawn before."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from holdfast.methods.isolation.scene import Scene


def seed_at(seed: int, step: int) -> int:
    """A seed for what is drawn after a step: with others, of other steps or seeds, it has nothing in common."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {step}".encode(), digest_size=7).digest(), "big")


class Seed:
    """The seed of a rule's draws.

    Args:
        asked: The seed; nothing for that of the training, which `agreed` finds out and a resumed run goes on with.
    """

    def __init__(self, asked: int | None) -> None:
        self._asked = asked

    def agreed(self, scene: Scene) -> None:
        """Settle on one seed: processes that hold parts of the same tensors may have been seeded apart."""
        if self._asked is None:
            device = next(iter(scene.tensors.values())).device
            own = torch.tensor(seed_at(torch.initial_seed(), 0), device=device)
            self._asked = int(scene.ranks.least(own))

    def at(self, step: int) -> int:
        """The seed for what is drawn after a step."""
        assert self._asked is not None, "rules begin before they choose"
        return seed_at(self._asked, step)

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        return {} if self._asked is None else {"seed": torch.tensor(self._asked)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state as ``state`` gave it."""
        if "seed" in state:
            self._asked = int(state["seed"])
