"""Which scalars were held when: enough of it to tell whether the choice drifts, in little memory."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from holdfast.algebra.bits import Bits
from holdfast.algebra.mask import Mask
from holdfast.core.isolation import IsolationCourse, Refresh, Share
from holdfast.core.sites import block_of
from holdfast.methods.isolation.scene import Scene
from holdfast.metrics.mask_drift import ages_steps, chance_jaccard, jaccard_matrix

EXAMINED = 2**22
"""Most scalars whose choices are remembered; of larger models every n-th."""

CHOICES = 48
"""Choices remembered; when there are twice as many, every other one is forgotten."""


class History:
    """The choices of one training. Memory: half a mebibyte a choice at most.

    Of parameters in shards, the part that this process holds.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        shapes = scene.shapes()
        self._sizes = {name: math.prod(shape) for name, shape in shapes.items()}
        self._stride = max(1, math.ceil(sum(self._sizes.values()) / EXAMINED))
        self._examined = sum(-(-size // self._stride) for size in self._sizes.values())
        self._masks: list[Tensor] = []
        self._refreshes: list[Refresh] = []
        self._last: Mask = Mask.none_of(shapes)
        self.choices = 0
        self._every = 1

    def note(self, held: Mask, before: Mask | None, seconds: float) -> None:
        """Remember a choice.

        Args:
            held: What is held from now on.
            before: What was held until now; nothing at the first choice.
            seconds: How long choosing took.
        """
        released = None if before is None else (before & ~held).count()
        self._last = held
        if self.choices % self._every == 0:
            sample = torch.cat([held[name].dense().view(-1)[:: self._stride].cpu() for name in self._sizes])
            self._masks.append(Bits.of(sample).packed)
            self._refreshes.append(
                Refresh(step=self._scene.step, held=held.count(), released=released, seconds=seconds)
            )
        self.choices += 1
        if len(self._masks) == 2 * CHOICES:
            self._masks, self._refreshes, self._every = self._masks[::2], self._refreshes[::2], 2 * self._every

    def course(
        self, method: str, params: int, extra_bytes: int, notes: tuple[str, ...] = (), *, at_random: bool = False
    ) -> IsolationCourse:
        """The history as a document.

        Args:
            method: The method with its options.
            params: Scalars of the whole model.
            extra_bytes: Memory that the method took.
            notes: What a reader must know.
            at_random: Whether every choice was drawn anew at random.
        """
        empty = torch.zeros(0, -(-self._examined // 8), dtype=torch.uint8)
        masks = torch.stack(self._masks).numpy() if self._masks else empty.numpy()
        steps = [refresh.step for refresh in self._refreshes]
        eligible = sum(self._sizes.values())
        return IsolationCourse(
            method=method,
            eligible=eligible,
            params=params,
            examined=self._examined,
            choices=self.choices if self._every > 1 else None,
            at_random=at_random,
            refreshes=tuple(self._refreshes),
            jaccard=tuple(map(tuple, jaccard_matrix(masks))),
            chance_jaccard=chance_jaccard(self._last.count(), eligible),
            ages_steps=tuple(ages_steps(masks, steps, end_step=self._scene.step if steps else None)),
            shares=self._shares(),
            extra_bytes=extra_bytes,
            notes=notes,
        )

    def _shares(self) -> tuple[Share, ...]:
        held: dict[tuple[int | None, str], tuple[int, int]] = {}
        for name, size in self._sizes.items():
            block, inside = block_of(name)
            kind = inside.removesuffix(".weight").rpartition(".")[2] if block is not None else inside
            count, whole = held.get((block, kind), (0, 0))
            held[block, kind] = count + self._last[name].count(), whole + size
        return tuple(
            Share(block=block, module=kind, held=count, size=size) for (block, kind), (count, size) in held.items()
        )

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        seconds = [refresh.seconds for refresh in self._refreshes]
        counts = [[r.step, r.held, -1 if r.released is None else r.released] for r in self._refreshes]
        return {
            "choices": torch.tensor([self.choices, self._every]),
            "counts": torch.tensor(counts, dtype=torch.long).reshape(-1, 3),
            "seconds": torch.tensor(seconds, dtype=torch.float64),
            **{f"mask.{i}": mask for i, mask in enumerate(self._masks)},
        }

    def restore(self, state: Mapping[str, Tensor], held: Mask) -> None:
        """Take up a state.

        Args:
            state: As ``state`` gave it.
            held: What was held then.
        """
        self._last = held
        self.choices, self._every = map(int, state["choices"].tolist())
        rows = zip(state["counts"].tolist(), state["seconds"].tolist(), strict=True)
        self._refreshes = [
            Refresh(step=step, held=count, released=None if released < 0 else released, seconds=seconds)
            for (step, count, released), seconds in rows
        ]
        self._masks = [state[f"mask.{i}"].clone() for i in range(len(self._refreshes))]
