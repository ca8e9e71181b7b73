"""A method that holds scalars where they are, on top of whatever moves them: in the arena and in any loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import ClassVar, get_args

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from holdfast.algebra.ranks import ALONE, Ranks, Together
from holdfast.core.errors import NotMeasurable
from holdfast.core.isolation import IsolationCourse
from holdfast.core.record import Record
from holdfast.methods.isolation.eligible import Eligible, eligible_of
from holdfast.methods.isolation.isolation import Isolation, Level
from holdfast.methods.isolation.moments import Moments
from holdfast.methods.isolation.options import Named
from holdfast.methods.isolation.rule import Rule
from holdfast.methods.isolation.scene import Scene
from holdfast.methods.on_top import OnTop, OnTopAttachment
from holdfast.weights.contracts import Attachment
from holdfast.weights.material import Material


@dataclass(frozen=True)
class Isolating(OnTop):
    """A method that holds some scalars where they are while the inner method trains.

    Attributes:
        eligible: Among which scalars is chosen: ``matrices`` inside decoder blocks, or ``all`` that is trained. Of an
            adapter always all: isolation on adapter weights is not what the papers test.
        acts: ``update`` undoes the whole step of held scalars; ``gradient`` sets their gradients to zero, which under
            AdamW does not hold them.
    """

    may_be_0: ClassVar[tuple[str, ...]] = ("ratio",)
    outermost: ClassVar[bool] = True

    eligible: Eligible = "matrices"
    acts: Level = "update"

    @abstractmethod
    def rule(self, steps: int | None) -> Rule:
        """A fresh rule for a training of so many steps, or of a length that nobody knows.

        Raises:
            RecipeError: If it must be known.
        """

    @property
    def moments_of_held(self) -> Moments:
        """What becomes of the optimizer's moments of held scalars."""
        return "keep"

    @property
    def ramp_steps(self) -> int:
        """Over how many steps a released scalar becomes free."""
        return 0

    @property
    def decays_held(self) -> bool:
        """Whether decoupled weight decay goes on shrinking what is held."""
        return False

    def attach(self, model: nn.Module) -> IsolatedAttachment:
        """Attach the inner method; what is held is chosen when its optimizer is known.

        Raises:
            RecipeError: If an option is out of range.
        """
        self.check()
        return IsolatedAttachment(self, self.inner.attach(model))

    def isolate(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        steps: int | None = None,
        material: Material | None = None,
    ) -> Isolation:
        """Hold scalars of a model that somebody else trains, with an optimizer that is already built.

        Whatever has ``requires_grad`` is what is trained; ``on`` plays no part. The training loop needs no change::

            isolation = Epi(ratio=0.01).isolate(model, optimizer, steps=1000)
            ...                       # the loop as it was; saved with isolation.state_dict()
            isolation.detach()

        Args:
            model: The model.
            optimizer: Its optimizer.
            steps: How many steps the training takes; needed where an interval is left to its default.
            material: Examples of what the model already knows, for rules that look at them.

        Raises:
            RecipeError: If an option is out of range, or the number of steps is needed.
            HoldfastError: If no scalar can be held, or the optimizer cannot be guarded.
        """
        self.check()
        tensors = {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}
        return self.isolation_of(self.rule(steps), model, tensors, optimizer, steps, material or Material(), {})

    def isolation_of(
        self,
        rule: Rule,
        model: nn.Module,
        tensors: Mapping[str, nn.Parameter],
        optimizer: torch.optim.Optimizer,
        steps: int | None,
        material: Material,
        initial: Mapping[str, Tensor],
    ) -> Isolation:
        """A rule at work on the optimizer of some trainable tensors."""
        chosen = eligible_of(model, tensors, self.eligible)
        ranks, world = _ranks_of(chosen)
        scene = Scene(
            model=model,
            tensors=chosen,
            optimizer=optimizer,
            steps=steps,
            ranks=ranks,
            world=world,
            initial=initial,
            material=material,
        )
        return Isolation(
            rule,
            scene,
            acts=self.acts,
            moments=self.moments_of_held,
            ramp_steps=self.ramp_steps,
            decays=self.decays_held,
        )

    def faults(self) -> tuple[str, ...]:
        choices = {"eligible": get_args(Eligible), "acts": get_args(Level)}
        return (*super().faults(), *wrong_words(self, choices))


class IsolatedAttachment(OnTopAttachment):
    """An attached method some scalars of which are held."""

    def __init__(self, method: Isolating, inner: Attachment) -> None:
        super().__init__(inner)
        self._method = method
        self._material = Material()
        self._isolation: Isolation | None = None
        self._pending: Mapping[str, Tensor] | None = None

    @property
    def isolation(self) -> Isolation:
        """The isolation at work.

        Raises:
            NotMeasurable: If training has not begun.
        """
        if self._isolation is None:
            raise NotMeasurable(f"{self._method.spec()} holds nothing yet: its training has not begun")
        return self._isolation

    def prepare(self, material: Material) -> None:
        super().prepare(material)
        self._material = material

    def before_training(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        super().before_training(optimizer, steps)
        if self._isolation is not None:
            self._isolation.detach()
        self._isolation = self._method.isolation_of(
            self.rule(steps), self.model, self.trainable(), optimizer, steps, self._material, self.initial()
        )
        if self._pending is not None:
            self._isolation.load_state_dict(self._pending)
            self._pending = None

    def rule(self, steps: int) -> Rule:
        """The rule of a training of so many steps."""
        return self._method.rule(steps)

    def own_state(self) -> Mapping[str, Tensor]:
        return {} if self._isolation is None else self._isolation.state_dict()

    def own_restore(self, state: Mapping[str, Tensor]) -> None:
        # The optimizer is not known yet: the state is taken up when it is.
        self._pending = state or None

    def facts(self) -> Sequence[Record]:
        return (*super().facts(), *_facts(self.course()))

    def course(self) -> IsolationCourse:
        """How the choice went.

        Raises:
            NotMeasurable: If training has not begun.
        """
        params = sum(tensor.numel() for tensor in self.model.parameters())
        return self.isolation.course(self._method.spec(), params)

    def detach(self) -> nn.Module:
        if self._isolation is not None:
            self._isolation.detach()
        return super().detach()


def wrong_words(method: Named, choices: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Faults of options that take one of a few words."""
    for option, words in choices.items():
        value = getattr(method, option)
        if value not in words:
            yield f"{method.name}: {option}={value!r} must be one of {', '.join(words)}"


def wrong_share(method: OnTop, option: str) -> Iterator[str]:
    """The fault of a share that is not in [0, 1)."""
    value = getattr(method, option)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        yield f"{method.name}: {option}={value!r} must be a share from 0 to below 1: 0.01 is one percent"


def _ranks_of(tensors: Mapping[str, nn.Parameter]) -> tuple[Ranks, int]:
    """The processes among which these tensors are cut up, and how many there are."""
    for tensor in tensors.values():
        if isinstance(tensor, DTensor) and tensor.device_mesh.size() > 1:
            group = tensor.device_mesh.get_group()
            return Together(group), torch.distributed.get_world_size(group)
    return ALONE, 1


def _facts(course: IsolationCourse) -> Iterator[Record]:
    last = course.refreshes[-1] if course.refreshes else None
    held = 0 if last is None else last.held
    yield Record(subject="run", quantity="held_frac_of_eligible", value=held / course.eligible, unit="frac")
    yield Record(subject="run", quantity="held_frac_of_all", value=held / course.params, unit="frac")
    choices = len(course.refreshes) if course.choices is None else course.choices
    yield Record(subject="run", quantity="isolation_choices", value=float(choices))
    yield Record(subject="run", quantity="isolation_bytes", value=float(course.extra_bytes), unit="bytes")
    if last is None:
        yield Record(subject="run", quantity="isolation_choice_s", reason="training ended before the first choice")
    else:
        seconds = median(refresh.seconds for refresh in course.refreshes)
        yield Record(subject="run", quantity="isolation_choice_s", value=seconds, unit="s")
