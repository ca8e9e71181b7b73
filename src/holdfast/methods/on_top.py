"""What methods on top of another one share: the inner method moves the weights, the outer one watches over it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path as Folder
from types import MappingProxyType
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from holdfast.core import registry
from holdfast.core.errors import HoldfastError, RecipeError, unknown
from holdfast.core.record import Record
from holdfast.core.spec import parse_spec, spec_of
from holdfast.core.task import Example
from holdfast.weights.contracts import Attachment, Displacing, Following, Method, Mixing, Patterned, Sourced
from holdfast.weights.material import Material
from holdfast.weights.past import PastStage
from holdfast.weights.path import Path
from holdfast.weights.update import Update

INNER, OWN = "inner/", "own/"
"""Before the names of what the inner attachment remembers, and of what the outer one does."""


def method_named(spec: str) -> Method:
    """The method that a spec such as ``oft(block_size=16)`` or ``peft:loha(r=4)`` names.

    Raises:
        RecipeError: If the spec cannot be read, or the method has no such option, or a value is not possible.
        UnknownName: If there is no method of that name.
    """
    name, options = parse_spec(spec)
    family, _, tuner = name.partition(":")
    kind = registry.lookup("methods", family)
    if tuner:
        method: Method = kind(tuner=tuner, options=MappingProxyType(options))
    else:
        known = [field.name for field in fields(kind)]
        faults = [f"{name}: {unknown('option', option, known)}" for option in options if option not in known]
        if faults:
            raise RecipeError(faults)
        method = kind(**options)
    if method.faults():
        raise RecipeError(method.faults())
    return method


def _of_inner(name: str) -> Any:
    """An attribute that is what the inner method says it is."""
    return property(lambda method: getattr(method.inner, name))


@dataclass(frozen=True)
class OnTop(ABC):
    """A method on top of another one, which says what is trainable, what the knob is and how results are served.

    Subclasses are frozen dataclasses, with a default for every option, and say what is attached. Numbers among the
    options must be above 0, or at least 0 where ``may_be_0`` names them.

    Attributes:
        on: The inner method with its options, such as ``lora(r=8)``.
    """

    name: ClassVar[str]
    learning_rate: ClassVar[float] = _of_inner("learning_rate")
    knob: ClassVar[str | None] = _of_inner("knob")
    moves_base: ClassVar[bool] = _of_inner("moves_base")
    served_as: ClassVar[str] = _of_inner("served_as")
    may_be_0: ClassVar[tuple[str, ...]] = ("strength",)
    outermost: ClassVar[bool] = False
    """Whether no other method may go on top, because it would hide an order or a choice that this one makes."""

    on: str = "full"

    @abstractmethod
    def attach(self, model: nn.Module) -> Attachment:
        """Attach the inner method, and this one to what comes of it."""

    @cached_property
    def inner(self) -> Method:
        """The method that moves the weights."""
        return method_named(self.on)

    @property
    def needs_source(self) -> bool:
        """Whether examples of what the model already knows are needed: the inner method may need them."""
        return isinstance(self.inner, Sourced) and self.inner.needs_source

    def mixed(self, target: Sequence[Example], source: Sequence[Example], seed: int) -> list[Example]:
        """The examples to train on: the target's, unless the inner method mixes them."""
        return self.inner.mixed(target, source, seed) if isinstance(self.inner, Mixing) else list(target)

    def settings(self, model: nn.Module) -> Iterator[Self]:
        """This method on every setting of the inner one."""
        yield from map(self._on, self.inner.settings(model))

    def spec(self) -> str:
        """The method with its options, as a recipe would write it."""
        return spec_of(self.name, self)

    def with_knob(self, value: int) -> Self:
        """This method on the inner one with its knob at a value."""
        return self._on(self.inner.with_knob(value))

    def parameters(self, model: nn.Module) -> int:
        """How many parameters the inner method trains."""
        return self.inner.parameters(model)

    def kinds(self, model: nn.Module) -> tuple[str, ...]:
        """The kinds of layers in which the inner method can take another rank; none where it cannot."""
        return self.inner.kinds(model) if isinstance(self.inner, Patterned) else ()

    def with_one_more(self, kinds: frozenset[str]) -> Self:
        """This method on the inner one with one rank more in layers of these kinds."""
        assert isinstance(self.inner, Patterned), "there are no kinds of layers to choose from"
        return self._on(self.inner.with_one_more(kinds))

    def faults(self) -> tuple[str, ...]:
        """What is wrong with these options, the inner method's among them."""
        return (*_number_faults(self, self.may_be_0), *self._faults_of_inner())

    def check(self) -> None:
        """Refuse options that are out of range.

        Raises:
            RecipeError: If there are any.
        """
        if self.faults():
            raise RecipeError(self.faults())

    def _on(self, inner: Method) -> Self:
        return replace(self, on=inner.spec())

    def _faults_of_inner(self) -> tuple[str, ...]:
        if not isinstance(self.on, str):
            return (f"{self.name}: on={self.on!r} is no method; give one in quotes, such as on='lora(r=8)'",)
        try:
            inner = self.inner
        except RecipeError as error:
            return tuple(f"{self.name}: on: {fault}" for fault in error.faults)
        except HoldfastError as error:
            return (f"{self.name}: on: {error}",)
        if isinstance(inner, OnTop) and inner.outermost:
            swapped = f"{inner.name}(on='{self.name}')"
            return (f"{self.name}: nothing goes on top of {inner.name}; put it outermost, as in {swapped}",)
        return ()


def _number_faults(method: OnTop, may_be_0: Sequence[str]) -> Iterator[str]:
    for field in fields(method):
        value, default = getattr(method, field.name), field.default
        if isinstance(default, bool) and not isinstance(value, bool):
            yield f"{method.name}: {field.name}={value!r} must be True or False"
        if isinstance(default, bool) or not isinstance(default, int | float) or value == default:
            continue
        kinds, wanted = ((int,), "a whole number") if isinstance(default, int) else ((int, float), "a number")
        least = "at least" if field.name in may_be_0 else "above"
        if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
            yield f"{method.name}: {field.name}={value!r} must be {wanted}"
        elif value < 0 or (value == 0 and field.name not in may_be_0):
            yield f"{method.name}: {field.name}={value} must be {least} 0"


class OnTopAttachment:
    """An attachment on top of another one: it hands on whatever it does not see to itself.

    Subclasses override what they need. Hooks call ``super()`` first, so that the inner attachment acts before the outer
    one; a pull of their own is ``pull``, what they remember from step to step ``own_state`` and ``own_restore``.
    """

    def __init__(self, inner: Attachment) -> None:
        self.inner = inner

    @property
    def model(self) -> nn.Module:
        return self.inner.model

    def trainable(self) -> Mapping[str, nn.Parameter]:
        return self.inner.trainable()

    def prepare(self, material: Material) -> None:
        """Let the inner attachment look at the data."""
        self.inner.prepare(material)

    def before_training(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        """Show the inner attachment the optimizer."""
        self.inner.before_training(optimizer, steps)

    def penalty(self) -> Tensor | None:
        """The inner attachment's penalty and this one's pull, as far as there are any."""
        terms = [term for term in (self.inner.penalty(), self.pull()) if term is not None]
        return sum(terms[1:], start=terms[0]) if terms else None

    def pull(self) -> Tensor | None:
        """The term that this attachment adds to the loss of the step, or nothing."""
        return None

    def before_forward(self, step: int, steps: int) -> None:
        """Hand the step on."""
        self.inner.before_forward(step, steps)

    @property
    def passes(self) -> int:
        """As many as the inner attachment wants."""
        return self.inner.passes if isinstance(self.inner, Displacing) else 1

    def before_pass(self, step: int, micro_batch: int, turn: int) -> None:
        """Hand the pass on."""
        if isinstance(self.inner, Displacing):
            self.inner.before_pass(step, micro_batch, turn)

    def after_pass(self) -> None:
        """Hand its end on."""
        if isinstance(self.inner, Displacing):
            self.inner.after_pass()

    def after_backward(self, step: int, steps: int) -> None:
        """Hand the step on."""
        self.inner.after_backward(step, steps)

    def after_step(self, step: int, steps: int) -> None:
        """Hand the step on."""
        self.inner.after_step(step, steps)

    def state(self) -> Mapping[str, Tensor]:
        """What both attachments remember, each under a name of its own."""
        inner = {INNER + name: tensor for name, tensor in self.inner.state().items()}
        return {**inner, **{OWN + name: tensor for name, tensor in self.own_state().items()}}

    def own_state(self) -> Mapping[str, Tensor]:
        """What this attachment alone remembers from step to step."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Give each attachment back what it remembers."""
        self.inner.restore(_under(INNER, state))
        self.own_restore(_under(OWN, state))

    def own_restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state as ``own_state`` gave it."""

    def follow(self, past: Sequence[PastStage]) -> None:
        """Show the inner attachment what earlier tasks of a sequence left it."""
        if isinstance(self.inner, Following):
            self.inner.follow([_seen_by(INNER, stage) for stage in past])
        self.own_follow([_seen_by(OWN, stage) for stage in past])

    def own_follow(self, past: Sequence[PastStage]) -> None:
        """Take up what earlier tasks of a sequence left this attachment."""

    def keepsake(self) -> Mapping[str, Tensor]:
        """What both attachments leave to later tasks, each under a name of its own."""
        inner = self.inner.keepsake() if isinstance(self.inner, Following) else {}
        own = {OWN + name: tensor for name, tensor in self.own_keepsake().items()}
        return {**{INNER + name: tensor for name, tensor in inner.items()}, **own}

    def own_keepsake(self) -> Mapping[str, Tensor]:
        """What this attachment alone leaves to later tasks of a sequence."""
        return {}

    def initial(self) -> Mapping[str, Tensor]:
        return self.inner.initial()

    def facts(self) -> Sequence[Record]:
        """What the inner attachment has to tell."""
        return self.inner.facts()

    def update(self) -> Update:
        return self.inner.update()

    def path(self) -> Path:
        return self.inner.path()

    def save(self, folder: Folder) -> None:
        self.inner.save(folder)

    def detach(self) -> nn.Module:
        return self.inner.detach()


def _seen_by(prefix: str, stage: PastStage) -> PastStage:
    return replace(stage, keepsake=lambda: _under(prefix, stage.keepsake()))


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
