"""From scores to held scalars: how many, compared with whom, and the controls beside the choice."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from holdfast.algebra.calibration import Calibration
from holdfast.algebra.mask import Mask
from holdfast.algebra.selection import top
from holdfast.methods.isolation.eligible import Group, groups_of
from holdfast.methods.isolation.importance import Importance, some_signal
from holdfast.methods.isolation.rule import Rule, Schedule
from holdfast.methods.isolation.scene import Scene

Hold = Literal["top", "bottom", "rest"]
"""``top``: the most important share is held. ``bottom``: the least important. ``rest``: all but the most important
share, which alone is trained."""


@dataclass(frozen=True)
class Choice:
    """How scalars are chosen by their scores.

    Attributes:
        share_frac: Share of scalars that is chosen, exactly, rounded down.
        hold: What becomes of the chosen.
        calibration: What makes scores of different groups comparable; ``rank`` gives every group the same share.
        group: What is calibrated within.
        each: Whether the share is one of all scalars or of every tensor.
    """

    share_frac: float
    hold: Hold = "top"
    calibration: Calibration | Literal["rank"] = "none"
    group: Group = "model"
    each: Literal["all", "tensor"] = "all"

    def of(self, scores: Mapping[str, Tensor], scene: Scene) -> Mask:
        """The held scalars of the parts that this process holds."""
        ranked = self.calibration == "rank"
        chosen = top(
            scores,
            self.share_frac,
            groups=groups_of(scores, self.group),
            # The k-th of a rank is the k-th of the values: a share of every group.
            calibration="none" if self.calibration == "rank" else self.calibration,
            each="group" if ranked and self.each == "all" else self.each,
            largest=self.hold != "bottom",
            ranks=scene.ranks,
        )
        return ~chosen if self.hold == "rest" else chosen


class ByImportance(Rule):
    """Holds scalars by a score of their importance.

    Args:
        schedule: When it is asked.
        importance: The score.
        choice: How scalars are chosen by it.
        patience: A scalar is released when so many choices in a row have left it out.
    """

    def __init__(self, schedule: Schedule, importance: Importance, choice: Choice, patience: int = 1) -> None:
        super().__init__(schedule)
        self._importance, self._choice = importance, choice
        self._recent: deque[Mask] = deque(maxlen=patience)

    @property
    def watches(self) -> bool:
        return self._importance.watches

    def begin(self, scene: Scene) -> None:
        self._importance.begin(scene)

    def watch(self, name: str, gradient: Tensor) -> None:
        self._importance.watch(name, gradient)

    def choose(self, scene: Scene) -> Mask:
        self._recent.append(self._choice.of(some_signal(self._importance.scores(scene), scene), scene))
        held = self._recent[0]
        for mask in list(self._recent)[1:]:
            held = held | mask
        if self._recent.maxlen == 1:
            # What was chosen last is what is held: there is no need to keep it twice.
            self._recent.clear()
        return held

    def notes(self) -> tuple[str, ...]:
        return self._importance.notes()

    def extra_bytes(self) -> int:
        recent = sum(bits.packed.numel() for mask in self._recent for bits in mask.values())
        return recent + self._importance.extra_bytes()

    def state(self) -> dict[str, Tensor]:
        recent = {
            f"recent.{i}.{name}": tensor
            for i, mask in enumerate(self._recent)
            for name, tensor in mask.tensors().items()
        }
        shapes = {
            f"shape.{name}": torch.tensor(bits.shape) for mask in list(self._recent)[:1] for name, bits in mask.items()
        }
        return {**recent, **shapes, **self._importance.state()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        shapes = {key.removeprefix("shape."): tuple(t.tolist()) for key, t in state.items() if key.startswith("shape.")}
        self._recent.clear()
        for i in range(self._recent.maxlen or 0):
            start = f"recent.{i}."
            packed = {key.removeprefix(start): t for key, t in state.items() if key.startswith(start)}
            if packed:
                self._recent.append(Mask.of_tensors(packed, shapes))
        apart = ("recent.", "shape.")
        self._importance.restore({key: tensor for key, tensor in state.items() if not key.startswith(apart)})
