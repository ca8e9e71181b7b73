"""What becomes of the optimizer's moments of held scalars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from holdfast.algebra.mask import Mask
from holdfast.algebra.ranks import local
from holdfast.methods.isolation.guard import Guard
from holdfast.methods.isolation.scene import Scene

Moments = Literal["keep", "freeze", "reset_on_release"]
"""``keep``: they go on averaging gradients, so that a released scalar moves as one that was never held. ``freeze``:
they stand still; the first step after a release is made with what they were long ago. ``reset_on_release``: they start
from zero when a scalar is released."""

KEYS = ("exp_avg", "exp_avg_sq", "momentum_buffer")


class KeptMoments:
    """Moments are left alone."""

    acts = False

    def hold(self, mask: Mask) -> None:
        """Called when other scalars are held."""

    def let_go(self, released: Mask) -> None:
        """Called with the scalars that are released."""

    def put_back(self) -> None:
        """Called after every step."""

    def extra_bytes(self) -> int:
        """Memory that it keeps."""
        return 0


class FrozenMoments(KeptMoments):
    """Moments of held scalars stand still. Memory: those of the held share once more."""

    acts = True

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._guards: list[Guard] = []
        self._unborn: Mask | None = None

    def hold(self, mask: Mask) -> None:
        moments = [parts for key in KEYS if (parts := _moments(self._scene, key))]
        # Before the first step there are none: they are held as soon as the optimizer has made them.
        self._unborn = None if moments else mask
        self._guards = []
        for parts in moments:
            guard = Guard(parts)
            guard.hold(Mask({name: bits for name, bits in mask.items() if name in parts}))
            self._guards.append(guard)

    def put_back(self) -> None:
        if self._unborn is not None:
            for key in KEYS:
                _set_to_zero(_moments(self._scene, key), self._unborn)
            self.hold(self._unborn)
        for guard in self._guards:
            guard.put_back()

    def extra_bytes(self) -> int:
        return sum(guard.extra_bytes() for guard in self._guards)


class ResetMoments(KeptMoments):
    """Moments of released scalars start from zero."""

    acts = True

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def let_go(self, released: Mask) -> None:
        for key in KEYS:
            _set_to_zero(_moments(self._scene, key), released)


def moments_of(which: Moments, scene: Scene) -> KeptMoments:
    """What treats moments in one of the ways there are."""
    if which == "freeze":
        return FrozenMoments(scene)
    return ResetMoments(scene) if which == "reset_on_release" else KeptMoments()


def _moments(scene: Scene, key: str) -> Mapping[str, Tensor]:
    kept = {name: scene.optimizer.state.get(tensor, {}).get(key) for name, tensor in scene.tensors.items()}
    return {name: local(moment) for name, moment in kept.items() if isinstance(moment, Tensor)}


def _set_to_zero(moments: Mapping[str, Tensor], where: Mask) -> None:
    for name, moment in moments.items():
        if where[name].count():
            moment.view(-1).index_fill_(0, where[name].positions(), 0)
