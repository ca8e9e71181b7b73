"""The checkpoints of a training in order: the rival of every path, since stopping early is one of its points.

Between two checkpoints nobody knows where the training was. A point in between is refused and not made up; ``nearest``
says which there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Literal

from torch import nn

from holdfast.core.errors import NotMeasurable
from holdfast.weights.adapter import is_adapter
from holdfast.weights.borrowed import borrowed
from holdfast.weights.loading import checkpoint_on
from holdfast.weights.path import Bring, one_at_a_time
from holdfast.weights.paths.dense import FolderLine
from holdfast.weights.update import Update


class CheckpointPath:
    """Saved checkpoints as a path with the base at 0 and the last of them at 1.

    Args:
        folders: Adapter or model folders by the step after which they were saved.
        base: The base they were trained from.
        spacing: ``steps`` puts each at its share of all steps, ``order`` at equal distances.

    Raises:
        NotMeasurable: If there is no checkpoint, or one of step 0 or before: the base is there.
    """

    label = "checkpoints"

    def __init__(
        self, folders: Mapping[int, Path], base: nn.Module, spacing: Literal["steps", "order"] = "steps"
    ) -> None:
        steps = sorted(folders)
        if not steps or steps[0] <= 0:
            raise NotMeasurable(
                f"a path over the checkpoints of steps {steps}: there must be one at least, each after a first step"
            )
        self._base = base
        self._steps = {
            (step / steps[-1] if spacing == "steps" else place / len(steps)): step
            for place, step in enumerate(steps, start=1)
        }
        self._folders = dict(folders)

    @property
    def points(self) -> tuple[float, ...]:
        """All points of the path, from 0 for the base to 1."""
        return 0.0, *self._steps

    @property
    def steps(self) -> Mapping[float, int]:
        """The optimizer step of each saved point."""
        return self._steps

    def nearest(self, t: float) -> float:
        """The point closest to ``t``; the earlier of two."""
        return min(self.points, key=lambda point: abs(point - t))

    def at(self, t: float) -> Update:
        """The update of the checkpoint at ``t``.

        Raises:
            NotMeasurable: If there is none at ``t``.
        """
        folder = self._folder(t)
        if folder is None:
            return Update({})
        if not is_adapter(folder):
            return FolderLine(folder, self._base).at(1)
        with borrowed(folder, self._base) as adapter:
            return adapter.update()

    def walk(self, model: nn.Module) -> AbstractContextManager[Bring]:
        """Lead a base from checkpoint to checkpoint; each is read from its folder when the model is brought there."""

        def point(t: float) -> AbstractContextManager[nn.Module]:
            folder = self._folder(t)
            if folder is None:
                return nullcontext(model)
            return _adapted(folder, model) if is_adapter(folder) else checkpoint_on(folder, model)

        return one_at_a_time(point)

    def _folder(self, t: float) -> Path | None:
        if t == 0:
            return None
        if t not in self._steps:
            near = self.nearest(t)
            where = f"{near:g} (step {self._steps[near]})" if near else "0 (the base)"
            raise NotMeasurable(
                f"no checkpoint was saved at {t:g}, and where the training was then is not known: "
                f"the nearest of {len(self._steps)} is at {where}"
            )
        return self._folders[self._steps[t]]


@contextmanager
def _adapted(folder: Path, model: nn.Module) -> Iterator[nn.Module]:
    with borrowed(folder, model) as adapter:
        yield adapter.model
