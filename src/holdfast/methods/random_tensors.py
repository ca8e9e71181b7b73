"""Controls of TRACE: tensors that are drawn at random are trained, as many parameters or as many in every layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor, nn

from holdfast.algebra.ranking import joined, parted
from holdfast.algebra.uniform import Uniform
from holdfast.core.errors import HoldfastError, RecipeError
from holdfast.core.sites import block_of
from holdfast.methods.isolation.eligible import Eligible
from holdfast.methods.isolation.seeds import seed_at
from holdfast.methods.on_top import method_named
from holdfast.methods.probing.choosing import Budget, chosen, fitting
from holdfast.methods.probing.identity import weights_identity
from holdfast.methods.probing.ledger import Ledger, Overlap
from holdfast.methods.probing.method import Choosing
from holdfast.methods.probing.most import most_params
from holdfast.methods.probing.options import wrong_ratio, wrong_seed
from holdfast.methods.probing.planning import planned, planned_tensors
from holdfast.methods.probing.scoring import Scored
from holdfast.methods.probing.stage import Choice, Stage
from holdfast.methods.probing.units import Granularity, eligible_tensors, extent_of
from holdfast.methods.trace_probe import TraceProbe


@dataclass(frozen=True)
class RandomTensors(Choosing):
    """Train tensors that are drawn at random, and freeze the rest.

    What `trace_probe` gains over this is owed to its choice; what both gain over full fine-tuning is owed to freezing
    anything. Without ``like`` nothing is probed: tensors are taken in an order at random, each that still fits.

    With ``like`` that method probes the task, and its choice is replaced: by tensors at random of as many parameters,
    as near as whole tensors come to it from below, or with ``profile`` by as many tensors in every layer as it has
    chosen there, whatever their type. The latter keeps the depth profile and not the number of parameters, which the
    fact ``core_params`` tells. Every stage of a sequence draws anew.

    Attributes:
        ratio: Share of what is eligible that is trained, above 0 and at most 1; exact, rounded down.
        budget: Whether that is a share of the parameters or of the tensors.
        eligible: Among which tensors: ``matrices`` inside decoder blocks, or ``all``.
        overlap: What becomes of tensors that earlier tasks own: nothing (``allow``), they are not drawn (``exclude``),
            or their steps are multiplied by ``damp`` for each owner (``damp``).
        damp: See ``overlap``; in [0, 1].
        like: A ``trace_probe`` with its options, whose choice is replaced; ratio, budget and eligible are then its own.
        profile: Whether as many tensors are drawn in every layer as ``like`` has chosen there.
        seed: Of the draws; by default that of the training, so that every run of a comparison draws others.
    """

    name: ClassVar[str] = "random_tensors"
    granularity: ClassVar[Granularity] = "tensor"

    ratio: float = 0.1
    budget: Budget = "params"
    eligible: Eligible = "matrices"
    overlap: Overlap = "allow"
    damp: float = 0.1
    like: str = ""
    profile: bool = False
    seed: int | None = None

    @property
    def replaced_method(self) -> TraceProbe | None:
        """The method whose choice is replaced, if there is one."""
        if not self.like:
            return None
        found = method_named(self.like)
        assert isinstance(found, TraceProbe), "faults() refuses all others"
        return found

    def parameters(self, model: nn.Module) -> int:
        """How many parameters can be trained at most: which they are is known after the draw."""
        replaced = self.replaced_method
        if replaced is None:
            return most_params(eligible_tensors(model, self.eligible, self.name), self.ratio, self.budget, "tensor")
        if self.profile and replaced.budget == "params":
            tensors = eligible_tensors(model, replaced.eligible, self.name)
            return sum(tensor.numel() for tensor in tensors.values())
        return replaced.parameters(model)

    def faults(self) -> tuple[str, ...]:
        """What is wrong with these options, in sentences that say what to do; empty if nothing is."""
        return tuple(f"{self.name}: {fault}" for fault in self._faults())

    def choose(self, stage: Stage) -> Choice:
        """Draw tensors.

        Raises:
            RecipeError: If the budget selects nothing, or what nobody owns does not fill it.
            HoldfastError: If earlier stages chose among other tensors, or the method that is replaced cannot probe.
        """
        replaced = self.replaced_method
        reference = replaced.choose(stage) if replaced else None
        tensors = eligible_tensors(stage.model, replaced.eligible if replaced else self.eligible, self.name)
        ledger = Ledger.read(stage.past, dict.fromkeys(tensors, ()))
        seed = torch.initial_seed() % 2**63 if self.seed is None else self.seed
        drawn = _drawn(tensors, seed_at(seed, len(stage.past)))
        taken = {name: ledger.owners(name) for name in tensors} if self.overlap == "exclude" and stage.past else {}
        free = {name: count == 0 for name, count in taken.items() if count is not None}
        flags = self._picked(tensors, drawn, free, reference)
        plan = planned(
            stage.model,
            planned_tensors(stage.model, tensors, flags, Scored(drawn, {}, {}), ledger, {}),
            task=stage.task,
            method=self.spec(),
            seed=seed,
            probe_identity=reference.plan.probe_identity if reference else None,
            start_identity=weights_identity(stage.model),
            settings={
                **asdict(self),
                "seed": seed,
                "ranked_by": "chance",
                "granularity": "tensor",
                "earlier_tasks": list(ledger.cores),
            },
        )
        return Choice(plan, flags, reference.sketches if reference else {}, facts=reference.facts if reference else ())

    def _picked(
        self,
        tensors: Mapping[str, nn.Parameter],
        drawn: Mapping[str, Tensor],
        free: Mapping[str, Tensor],
        reference: Choice | None,
    ) -> dict[str, Tensor]:
        if reference is None:
            extents = {name: extent_of(tensor, "tensor") for name, tensor in tensors.items()}
            taken = {name: ~flag for name, flag in free.items()} or None
            return chosen(drawn, extents, self.ratio, self.budget, taken, who=self.name)
        names = sorted(tensors, key=lambda name: -float(drawn[name]))
        names = [name for name in names if not free or bool(free[name])]
        if self.profile:
            core = _same_profile(names, [tensor.name for tensor in reference.plan.chosen], self.name)
        else:
            sizes = torch.tensor([tensors[name].numel() for name in names])
            places = fitting(torch.arange(len(names)), sizes, reference.plan.trained_params)
            core = {names[place] for place in places.tolist()}
        if not core:
            raise HoldfastError(
                f"{self.name}: no tensor that nobody owns is as small as the {reference.plan.trained_params:,} "
                f"parameters of {self.like}; give it a higher ratio"
            )
        return {name: torch.tensor(name in core) for name in tensors}

    def _faults(self) -> Iterator[str]:
        for option, words in {
            "budget": get_args(Budget), "eligible": get_args(Eligible), "overlap": get_args(Overlap),
        }.items():  # fmt: skip
            if (value := getattr(self, option)) not in words:
                yield f"{option}={value!r} must be one of {', '.join(words)}"
        yield from wrong_ratio(self.ratio)
        yield from wrong_seed(self.seed)
        if isinstance(self.damp, bool) or not isinstance(self.damp, int | float) or not 0 <= self.damp <= 1:
            yield f"damp={self.damp!r} must be a number from 0 to 1"
        if self.profile and not self.like:
            yield "profile=True draws in the layers that another method chooses; give like='trace_probe(ratio=0.1)'"
        yield from self._faults_of_like()

    def _faults_of_like(self) -> Iterator[str]:
        if not self.like:
            return
        try:
            replaced = method_named(self.like)
        except HoldfastError as error:
            yield f"like: {error}"
            return
        if not isinstance(replaced, TraceProbe) or replaced.granularity != "tensor":
            yield f"like={self.like!r} must be a trace_probe that chooses whole tensors"
        for option in ("ratio", "budget", "eligible"):
            if getattr(self, option) != getattr(RandomTensors(), option):
                yield f"{option} plays no part beside like, which brings its own; leave it out"


def _drawn(tensors: Mapping[str, nn.Parameter], seed: int) -> dict[str, Tensor]:
    """A number at random for every tensor, of the seed and its name alone."""
    device = torch.device("cpu")
    draws = Uniform(dict.fromkeys(tensors, (1,)), seed, {}, device)
    row = {name: draws[name].reshape(()) for name in tensors}
    return parted(joined(row), row)


def _same_profile(order: list[str], replaced: list[str], who: str) -> set[str]:
    """The first of an order, as many in every layer as there are among those that are replaced."""
    found: set[str] = set()
    for layer in sorted({block_of(name)[0] for name in replaced}, key=lambda number: -1 if number is None else number):
        wanted = sum(block_of(name)[0] == layer for name in replaced)
        here = [name for name in order if block_of(name)[0] == layer]
        if len(here) < wanted:
            where = "outside of layers" if layer is None else f"in layer {layer}"
            raise RecipeError(
                [f"{who}: {wanted} tensors are to be drawn {where}, and nobody owns {len(here)}; allow overlap"]
            )
        found.update(here[:wanted])
    return found
