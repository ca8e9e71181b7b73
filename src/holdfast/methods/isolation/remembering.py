"""What rules and importances have in common: they may look at gradients, and remember something between steps."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from holdfast.methods.isolation.scene import Scene


class Remembering:
    """By default nothing is looked at, and nothing remembered."""

    def begin(self, scene: Scene) -> None:
        """Called once, when the optimizer is known and before the first step."""

    def watch(self, name: str, gradient: Tensor) -> None:
        """Called for every tensor and step with the part of its gradient that is held here, in its own precision."""

    def notes(self) -> tuple[str, ...]:
        """What a reader must know of it, in sentences."""
        return ()

    def extra_bytes(self) -> int:
        """Memory that it keeps from step to step."""
        return 0

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state as ``state`` gave it."""
