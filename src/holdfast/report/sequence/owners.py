"""Which task was trained on which tensors: owners, shares, and what tasks have in common beside what chance has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import comb
from statistics import fmean

from holdfast.core.parameter_plan import ParameterPlan, PlannedTensor
from holdfast.core.sequence_evidence import ChainRun
from holdfast.core.sites import block_of


@dataclass(frozen=True)
class Tensor:
    """An eligible tensor and who was trained on it.

    Attributes:
        name: Its name.
        block: Number of its block; absent outside of blocks.
        module: Its name within the block.
        params: How many scalars it has.
        trained: Task -> how many of its scalars were trained, in the order of training.
    """

    name: str
    block: int | None
    module: str
    params: int
    trained: Mapping[str, int]

    @property
    def owners(self) -> tuple[str, ...]:
        """The tasks that were trained on it, in the order of their training."""
        return tuple(self.trained)


@dataclass(frozen=True)
class Common:
    """What two tasks were both trained on.

    Attributes:
        jaccard: Tensors of both over tensors of either; absent where neither has any.
        params: Scalars of the tensors of both, over those of the tensors of either.
        chance: What random sets of these sizes have, on average.
    """

    jaccard: float | None
    params: float | None
    chance: float | None


@dataclass(frozen=True)
class Choice:
    """How much a task was trained on.

    Attributes:
        task: Which.
        tensors: Tensors chosen.
        params: Scalars that were trained.
        eligible_tensors: Tensors among which was chosen.
        eligible_params: Scalars in those.
        model_tensors: Tensors of the whole model.
        model_params: Scalars of the whole model.
        shared: Of the tensors chosen, how many an earlier task had been trained on.
    """

    task: str
    tensors: int
    params: int
    eligible_tensors: int
    eligible_params: int
    model_tensors: int
    model_params: int
    shared: int


@dataclass(frozen=True)
class Owners:
    """The ledger of one chain.

    Attributes:
        order: Tasks in the order of their training.
        seed: Of the chain.
        tensors: All tensors that some stage might have chosen, in the order of the model.
        choices: One a stage that has a plan.
        common: For any two of these, in their order.
    """

    order: tuple[str, ...]
    seed: int
    tensors: tuple[Tensor, ...]
    choices: tuple[Choice, ...]
    common: tuple[tuple[Common, ...], ...]

    @property
    def blocks(self) -> tuple[int | None, ...]:
        """The blocks, those outside last."""
        numbers = {tensor.block for tensor in self.tensors}
        return (*sorted(block for block in numbers if block is not None), *([None] if None in numbers else []))

    @property
    def modules(self) -> tuple[str, ...]:
        """Types of modules, in the order of the model."""
        return tuple(dict.fromkeys(tensor.module for tensor in self.tensors))

    def share(self, task: str, block: int | None) -> float | None:
        """Share of the eligible scalars of a block that a task was trained on; none where there are none."""
        within = [tensor for tensor in self.tensors if tensor.block == block]
        whole = sum(tensor.params for tensor in within)
        return sum(tensor.trained.get(task, 0) for tensor in within) / whole if whole else None

    @property
    def mean_jaccard(self) -> float | None:
        """Mean over all pairs of tasks."""
        return _mean([c.jaccard for row, line in enumerate(self.common) for c in line[row + 1 :]])

    @property
    def mean_chance(self) -> float | None:
        """The same for random sets."""
        return _mean([c.chance for row, line in enumerate(self.common) for c in line[row + 1 :]])


def owners_of(chain: ChainRun) -> Owners | None:
    """The ledger of a chain; nothing where no stage has a plan."""
    plans = [stage.plan for stage in chain.stages if stage.plan is not None]
    if not plans:
        return None
    found: dict[str, PlannedTensor] = {tensor.name: tensor for plan in plans for tensor in plan.tensors}
    chosen = {plan.task: {tensor.name: tensor.params for tensor in plan.chosen} for plan in plans}
    trained: dict[str, dict[str, int]] = {}
    for plan in plans:
        for tensor in plan.chosen:
            trained.setdefault(tensor.name, {})[plan.task] = tensor.trained_params
    return Owners(
        order=chain.order,
        seed=chain.seed,
        tensors=tuple(_tensor(tensor, trained.get(name, {})) for name, tensor in found.items()),
        choices=tuple(_choice(plan) for plan in plans),
        common=tuple(
            tuple(
                _common(chosen[one.task], chosen[other.task], min(len(one.tensors), len(other.tensors)))
                for other in plans
            )
            for one in plans
        ),
    )


@cache
def chance_jaccard(one: int, other: int, among: int) -> float | None:
    """What two random sets overlap by on average: tensors of both over tensors of either.

    Args:
        one: Size of the first set.
        other: Size of the second.
        among: How many there are to choose from.

    Returns:
        The mean over all pairs of sets; none where both are empty, or larger than what there is.
    """
    if one + other == 0 or max(one, other) > among:
        return None
    pairs = comb(among, other)
    most = min(one, other)
    return sum(
        comb(one, both) * comb(among - one, other - both) / pairs * both / (one + other - both)
        for both in range(max(0, one + other - among), most + 1)
    )


def _tensor(planned: PlannedTensor, trained: Mapping[str, int]) -> Tensor:
    block, module = block_of(planned.name)
    return Tensor(planned.name, block, module.removesuffix(".weight"), planned.params, trained)


def _choice(plan: ParameterPlan) -> Choice:
    return Choice(
        task=plan.task,
        tensors=len(plan.chosen),
        params=plan.trained_params,
        eligible_tensors=len(plan.tensors),
        eligible_params=sum(tensor.params for tensor in plan.tensors),
        model_tensors=plan.model_tensors,
        model_params=plan.model_params,
        shared=sum(bool(tensor.owners) for tensor in plan.chosen),
    )


def _common(one: dict[str, int], other: dict[str, int], among: int) -> Common:
    both, either = one.keys() & other.keys(), one.keys() | other.keys()
    sizes = one | other
    whole = sum(sizes[name] for name in either)
    return Common(
        jaccard=len(both) / len(either) if either else None,
        params=sum(sizes[name] for name in both) / whole if whole else None,
        chance=chance_jaccard(len(one), len(other), among),
    )


def _mean(found: Sequence[float | None]) -> float | None:
    known = [each for each in found if each is not None]
    return fmean(known) if known else None
