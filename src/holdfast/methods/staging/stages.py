"""Groups of tasks, their order, and when one gives way to the next."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from holdfast.algebra.mask import Mask
from holdfast.core.errors import BadData, DamagedCheckpoint, HoldfastError, NotMeasurable
from holdfast.methods.isolation.rule import Rule, Schedule
from holdfast.methods.isolation.scene import Scene

Group = tuple[str, ...]
"""Tasks that are trained together."""


def grouped(cores: Mapping[str, Mask], threshold: float) -> list[Group]:
    """Tasks whose cores overlap, directly or by way of others: connected components, in the order of their first tasks.

    Args:
        cores: The core of every task.
        threshold: Jaccard overlap from which two tasks belong together; two empty cores have none.
    """
    groups: list[Group] = []
    for task, own in cores.items():
        near = [group for group in groups if any(_overlap(own, cores[other]) >= threshold for other in group)]
        joined = (*(other for group in near for other in group), task)
        groups = [group for group in groups if group not in near]
        groups.append(joined)
    order = {task: place for place, task in enumerate(cores)}
    return sorted((tuple(sorted(group, key=order.__getitem__)) for group in groups), key=lambda group: order[group[0]])


def _overlap(one: Mask, other: Mask) -> float:
    try:
        return one.jaccard(other)
    except NotMeasurable:
        return -math.inf


def shuffled(groups: Sequence[Group], seed: int) -> list[Group]:
    """The groups in an order at random, a function of the seed and of their tasks."""
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    return order


def starts(count: int, stages: int) -> list[int]:
    """Where each of some stages starts, if they share steps or rows equally: the first at 0, no two at one place.

    Raises:
        HoldfastError: If there are fewer steps or rows than stages.
    """
    if count < stages:
        raise HoldfastError(
            f"training in {stages} stages, one for every group of tasks, takes as many steps, and there are {count}: "
            "train for longer"
        )
    return [stage * count // stages for stage in range(stages)]


def in_stages(stages: Sequence[Group], tasks: Sequence[str], rows: int, seed: int) -> list[int]:
    """Rows of a training set in stages of equal length, each of the rows of its own tasks, shuffled.

    A stage's rows come again, shuffled anew, when all of them have come. Rows of no task of any stage, such as
    replayed ones, are dealt out to the stages in turns.

    Args:
        stages: The tasks of every stage, in order.
        tasks: The task of every row.
        rows: How many are wanted in all.
        seed: Of the shuffling.

    Raises:
        BadData: If there is no row for a stage.
        HoldfastError: If fewer rows are wanted than there are stages.
    """
    known = {task for stage in stages for task in stage}
    others = [row for row, task in enumerate(tasks) if task not in known]
    bounds = [*starts(rows, len(stages)), rows]
    draw = random.Random(seed)
    order: list[int] = []
    for number, stage in enumerate(stages):
        own = [row for row, task in enumerate(tasks) if task in stage]
        if not own:
            raise BadData(
                f"no training row is left of {' and '.join(stage)}, to which a stage belongs; raise max_length"
            )
        pool = own + others[number :: len(stages)]
        while len(order) < bounds[number + 1]:
            draw.shuffle(pool)
            order += pool[: bounds[number + 1] - len(order)]
    return order


@dataclass(frozen=True)
class AtStarts(Schedule):
    """A choice at every start of a stage but the first.

    Attributes:
        at: Steps that are done by then.
    """

    at: tuple[int, ...] = ()

    def due(self, step: int) -> bool:
        return step in self.at


class ByStage(Rule):
    """Holds the cores of all tasks of earlier stages.

    Args:
        stages: The tasks of every stage, in order; one stage alone holds no core of its own.
        cores: The core of every task.
        steps: How long training takes.
        earlier: Cores of tasks that were trained before this training, which are held from its first step on.
    """

    def __init__(
        self,
        stages: Sequence[Group],
        cores: Mapping[str, Mask],
        steps: int,
        earlier: Mapping[str, Mask] | None = None,
    ) -> None:
        at = starts(steps, len(stages))[1:]
        self._earlier = earlier or {}
        times = (*((0,) if self._earlier else ()), *at)
        super().__init__(AtStarts(first=times[0] if times else steps, at=times))
        self._at, self._stages = at, stages
        self._cores = [union([cores[task] for task in stage]) for stage in stages[:-1]]

    def choose(self, scene: Scene) -> Mask:
        past = [mask for start, mask in zip(self._at, self._cores, strict=True) if start <= scene.step]
        return union([*self._earlier.values(), *past])

    def notes(self) -> tuple[str, ...]:
        return (*self._notes_on_earlier(), *self._notes_on_stages())

    def _notes_on_earlier(self) -> tuple[str, ...]:
        return (f"held from the first step on: the cores of {', '.join(self._earlier)}",) if self._earlier else ()

    def _notes_on_stages(self) -> tuple[str, ...]:
        if not self._cores and self._earlier:
            return ()
        if not self._cores:
            tasks = " and ".join(self._stages[0])
            return (f"{tasks} were trained together: there was no earlier stage, and nothing was held",)
        named = "; then ".join(" and ".join(stage) for stage in self._stages)
        return (f"trained in stages, the cores of earlier ones held: {named}",)

    def extra_bytes(self) -> int:
        masks = [*self._cores, *self._earlier.values()]
        return sum(bits.packed.numel() for mask in masks for bits in mask.values())

    def state(self) -> dict[str, Tensor]:
        packed = {
            # A mask that is held may be this very one, and a file holds no tensor twice.
            f"core.{number}.{name}": tensor.clone()
            for number, mask in enumerate(self._cores)
            for name, tensor in mask.tensors().items()
        }
        return {"stages": self._numbers(), **packed}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        if not torch.equal(state["stages"], self._numbers()):
            raise DamagedCheckpoint(
                "training is resumed with other stages than it was begun with: probing the tasks again has grouped "
                "them in another way. Start it anew, or resume on the kind of machine where it was begun"
            )
        for number, mask in enumerate(self._cores):
            start = f"core.{number}."
            packed = {key.removeprefix(start): t.clone() for key, t in state.items() if key.startswith(start)}
            self._cores[number] = Mask.of_tensors(packed, {name: bits.shape for name, bits in mask.items()})

    def _numbers(self) -> Tensor:
        """The stage of every task, in the order of their names."""
        stage_of = {task: number for number, stage in enumerate(self._stages) for task in stage}
        return torch.tensor([stage_of[task] for task in sorted(stage_of)], dtype=torch.long)


def union(masks: Sequence[Mask]) -> Mask:
    """The scalars that at least one of some masks chooses."""
    found = masks[0]
    for mask in masks[1:]:
        found = found | mask
    return found
