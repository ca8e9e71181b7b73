"""Controls of TRACE: tensors that are drawn at random are trained, as many parameters or as many in every layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor, nn

from holdfast.algebra.uniform import Uniform
from holdfast.core.errors import HoldfastError, RecipeError
from holdfast.core.sites import block_of
from holdfast.methods.isolation.eligible import Eligible
from holdfast.methods.isolation.method import wrong_words
from holdfast.methods.isolation.options import wrong_seed
from holdfast.methods.isolation.seeds import seed_at
from holdfast.methods.on_top import method_named
from holdfast.methods.probing.choosing import Budget, chosen, fitting
from holdfast.methods.probing.identity import weights_identity
from holdfast.methods.probing.ledger import Ledger, Overlap
from holdfast.methods.probing.method import Choosing
from holdfast.methods.probing.most import most_params
from holdfast.methods.probing.options import drawn_seed, wrong_part, wrong_ratio
from holdfast.methods.probing.planning import planned, planned_tensors
from holdfast.methods.probing.scoring import Scored
from holdfast.methods.probing.stage import Choice, Stage
from holdfast.methods.probing.units import Granularity, eligible_tensors, extent_of
from holdfast.methods.trace_probe import TraceProbe

BROUGHT = ("ratio", "budget", "eligible")
"""The options that a method whose choice is replaced brings with it."""


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
        words = {"budget": get_args(Budget), "eligible": get_args(Eligible), "overlap": get_args(Overlap)}
        others = (f"{self.name}: {fault}" for fault in self._faults())
        return (*wrong_words(self, words), *wrong_seed(self), *others)

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
        seed = drawn_seed(self.seed)
        # A number at random for every tensor, of the seed and its name alone.
        drawn = dict(Uniform(dict.fromkeys(tensors, ()), seed_at(seed, len(stage.past)), {}, torch.device("cpu")))
        taken = ledger.taken() if self.overlap == "exclude" else {}
        flags = self._picked(tensors, drawn, taken, reference)
        plan = planned(
            stage.model,
            planned_tensors(stage.model, tensors, flags, Scored(drawn, {}, {}), ledger, {}),
            task=stage.task,
            method=self.spec(),
            seed=seed,
            probe_identity=reference.plan.probe_identity if reference else None,
            start_identity=reference.plan.start_identity if reference else weights_identity(stage.model),
            settings={
                **asdict(self),
                **({option: getattr(replaced, option) for option in BROUGHT} if replaced else {}),
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
        taken: Mapping[str, Tensor],
        reference: Choice | None,
    ) -> dict[str, Tensor]:
        if reference is None:
            extents = {name: extent_of(tensor, "tensor") for name, tensor in tensors.items()}
            return chosen(drawn, extents, self.ratio, self.budget, taken, who=self.name)
        names = sorted(tensors, key=lambda name: -float(drawn[name]))
        names = [name for name in names if not (taken and bool(taken[name]))]
        if self.profile:
            core = _same_profile(names, [tensor.name for tensor in reference.plan.chosen], self.name)
        else:
            sizes = torch.tensor([tensors[name].numel() for name in names])
            places = fitting(torch.arange(len(names)), sizes, reference.plan.trained_params)
            core = {names[place] for place in places.tolist()}
            if not core:
                raise RecipeError(
                    [
                        f"{self.name}: no tensor that nobody owns is as small as the "
                        f"{reference.plan.trained_params:,} parameters of {self.like}; give it a higher ratio"
                    ]
                )
        return {name: torch.tensor(name in core) for name in tensors}

    def _faults(self) -> Iterator[str]:
        yield from wrong_ratio(self.ratio)
        yield from wrong_part("damp", self.damp)
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
        for option in BROUGHT:
            if getattr(self, option) != getattr(RandomTensors(), option):
                yield f"{option} plays no part beside like, which brings its own; leave it out"


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
