"""A model of which chosen tensors are trained, and nothing else has a gradient or a place in the optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from holdfast.algebra.bits import Bits
from holdfast.core.errors import NotMeasurable
from holdfast.core.parameter_plan import ParameterPlan
from holdfast.core.record import Record
from holdfast.methods.full import FullAttachment
from holdfast.methods.isolation.isolation import Isolation
from holdfast.methods.probing.damping import Damping
from holdfast.methods.probing.holding import held
from holdfast.methods.probing.ledger import Ledger, keepsake_of
from holdfast.methods.probing.planning import plan_facts
from holdfast.methods.probing.stage import Choice, Chooser, Stage
from holdfast.methods.probing.units import eligible_tensors, over_entries, unit_shape
from holdfast.weights.material import Material
from holdfast.weights.past import PastStage

PLAN, FLAGS, SKETCH, WARM = "plan", "flags.", "sketch.", "warm_start_used"


class ChosenAttachment(FullAttachment):
    """A full model that trains what a chooser has chosen when it looked at the data; until then everything.

    Frozen tensors have ``requires_grad`` off before an optimizer is built, so that they have no gradient, no moments
    and no decay. Of tensors of which rows or scalars are chosen, the rest is put back after every step.

    A resumed run is prepared again, and then takes the choice from its saved state.
    """

    def __init__(self, model: nn.Module, chooser: Chooser) -> None:
        eligible_tensors(model, chooser.eligible, chooser.name)  # what cannot be trained is told before anything moves
        super().__init__(model)
        self._chooser = chooser
        self._past: list[PastStage] = []
        self._choice: Choice | None = None
        self._damping: Damping | None = None
        self._isolation: Isolation | None = None
        self._warm_used = False

    def trainable(self) -> Mapping[str, nn.Parameter]:
        return {name: tensor for name, tensor in self._model.named_parameters() if tensor.requires_grad}

    def follow(self, past: Sequence[PastStage]) -> None:
        """Take up what earlier stages left; the choice heeds it."""
        self._past = list(past)

    def prepare(self, material: Material) -> None:
        """Choose, and freeze the rest."""
        self._model.requires_grad_(True)
        self._take_up(self._chooser.choose(Stage(self._model, self.initial(), material, tuple(self._past))))

    @property
    def choice(self) -> Choice:
        """What is trained.

        Raises:
            NotMeasurable: Before the data have been looked at.
        """
        if self._choice is None:
            raise NotMeasurable(
                f"{self._chooser.spec()} has chosen nothing yet: it chooses in prepare(material), from the batches"
            )
        return self._choice

    def plan(self) -> ParameterPlan:
        """What was chosen, with all that the choice rests on."""
        return self.choice.plan

    def keepsake(self) -> Mapping[str, Tensor]:
        """Which units were trained, and how the probe moved tensors."""
        return keepsake_of(self.choice.flags, self.choice.sketches)

    def before_training(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        if self.choice.warm and not self._warm_used:
            with torch.no_grad():
                for name, tensor in self.trainable().items():
                    warm = self.choice.warm[name].to(tensor)
                    flags = over_entries(self.choice.flags[name].to(tensor.device), tensor)
                    tensor.copy_(torch.where(flags, warm, tensor))
            self._warm_used = True
        if self._isolation is not None:
            self._isolation.detach()
        self._isolation = held(self._model, self.trainable(), self.choice.flags, optimizer)

    def after_backward(self, step: int, steps: int) -> None:
        if self._damping is not None:
            self._damping.before_step()

    def after_step(self, step: int, steps: int) -> None:
        if self._damping is not None:
            self._damping.after_step()

    def state(self) -> Mapping[str, Tensor]:
        """The choice: its plan as the bytes of its document, flags, sketches, and whether the kept probe was used."""
        choice = self.choice
        text = bytearray(choice.plan.model_dump_json(exclude_none=True).encode())
        return {
            PLAN: torch.frombuffer(text, dtype=torch.uint8),
            WARM: torch.tensor(self._warm_used),
            **{FLAGS + name: Bits.of(flags).packed for name, flags in choice.flags.items()},
            **{SKETCH + name: sketch for name, sketch in choice.sketches.items()},
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up a choice; what another probe has chosen meanwhile gives way to it."""
        plan = ParameterPlan.model_validate_json(bytes(state[PLAN].cpu().numpy()))
        tensors = dict(self._model.named_parameters())
        shapes = {tensor.name: unit_shape(tensors[tensor.name], self._chooser.granularity) for tensor in plan.tensors}
        flags = {name: Bits(state[FLAGS + name].cpu(), shape).dense() for name, shape in shapes.items()}
        sketches = {name.removeprefix(SKETCH): each for name, each in state.items() if name.startswith(SKETCH)}
        again = self._choice
        self._warm_used = bool(state[WARM])
        self._take_up(Choice(plan, flags, sketches, again.warm if again else {}, again.facts if again else ()))

    def facts(self) -> Sequence[Record]:
        """What was chosen, and what finding it took."""
        return (*plan_facts(self.plan()), *self.choice.facts)

    def detach(self) -> nn.Module:
        if self._isolation is not None:
            self._isolation.detach()
        return super().detach()

    def _take_up(self, choice: Choice) -> None:
        self._choice = choice
        core = {tensor.name for tensor in choice.plan.chosen}
        for name, tensor in self._model.named_parameters():
            tensor.requires_grad_(name in core)
            tensor.grad = None
        self._damping = self._damped(choice) if self._chooser.overlap == "damp" and self._past else None

    def _damped(self, choice: Choice) -> Damping | None:
        tensors = self.trainable()
        shapes = {name: tuple(flags.shape) for name, flags in choice.flags.items()}
        ledger = Ledger.read(self._past, shapes)
        owners = {name: counts for name, counts in ledger.owners().items() if name in tensors and bool(counts.any())}
        if not owners:
            return None
        shares = {name: self._chooser.damp ** counts.double() for name, counts in owners.items()}
        return Damping(tensors, {name: over_entries(share, tensors[name]) for name, share in shares.items()})
