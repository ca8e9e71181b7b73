"""What every method promises, inside Holdfast and from anybody's package; ``holdfast check`` holds them to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as Folder
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from holdfast.core.isolation import IsolationCourse
from holdfast.core.parameter_plan import ParameterPlan
from holdfast.core.record import Record
from holdfast.core.task import Example
from holdfast.weights.material import Material
from holdfast.weights.past import PastStage
from holdfast.weights.path import Path
from holdfast.weights.update import Update


@runtime_checkable
class Attachment(Protocol):
    """A method on one model. It lives from ``attach`` to ``detach``; in between, ``model`` is what is trained."""

    @property
    def model(self) -> nn.Module:
        """The model with the method on it: call it, train it, generate with it."""
        ...

    def trainable(self) -> Mapping[str, nn.Parameter]:
        """The tensors that training moves, by their name in ``model``; no other gets a gradient."""
        ...

    def prepare(self, material: Material) -> None:
        """Look at data before training. Called once, right after attaching; a resumed run calls it again.

        It may train and measure the model, and leaves all of its tensors as they were.
        """
        ...

    def before_training(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        """Called once before the first step, and again by a resumed run, with the optimizer that will move the tensors.

        The tensors and what ``restore`` gave are in place by then, and the optimizer's own state. Under a Hugging Face
        trainer it comes in accelerate's wrapper, which knows of accumulation and of the scaler of mixed precision; its
        ``.optimizer`` is torch's.
        """
        ...

    def penalty(self) -> Tensor | None:
        """A term to be added to the loss of this step, or nothing."""
        ...

    def before_forward(self, step: int, steps: int) -> None:
        """Called before the first forward pass of optimizer step ``step`` (from 0) of ``steps``."""
        ...

    def after_backward(self, step: int, steps: int) -> None:
        """Called when the gradients of a step are complete and clipped, before the optimizer uses them."""
        ...

    def after_step(self, step: int, steps: int) -> None:
        """Called when the optimizer has moved the tensors and the gradients are still there."""
        ...

    def state(self) -> Mapping[str, Tensor]:
        """What a resumed run needs beside the trainable tensors, such as moving averages or masks."""
        ...

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state as ``state`` gave it."""
        ...

    def initial(self) -> Mapping[str, Tensor]:
        """The trainable tensors as they were right after attaching."""
        ...

    def facts(self) -> Sequence[Record]:
        """What the method has to tell of the training that is over, about subject ``run``."""
        ...

    def update(self) -> Update:
        """What the method has done to the base so far."""
        ...

    def path(self) -> Path:
        """The method's own way from the base to where it is now."""
        ...

    def save(self, folder: Folder) -> None:
        """Write an ordinary adapter or model folder that plain peft or transformers opens."""
        ...

    def detach(self) -> nn.Module:
        """Take the method off and return the base, bit for bit as it was before ``attach``."""
        ...


@runtime_checkable
class Method(Protocol):
    """A way weights may move: a frozen dataclass whose fields are its options.

    Attributes:
        name: Name under which it is installed.
        learning_rate: Centre of the rates to be tried, for models of usual size.
        knob: The option that sets the number of trainable parameters; nothing where the method has none.
        moves_base: Whether attaching changes the stored base weights, so that a disabled adapter is not the base.
        served_as: How the result can be served: ``lora`` (as an adapter by LoRA servers), ``merged``, or ``live`` (by
            peft alone).
    """

    name: ClassVar[str]
    learning_rate: ClassVar[float]
    knob: ClassVar[str | None]
    moves_base: ClassVar[bool]
    served_as: ClassVar[str]

    def attach(self, model: nn.Module) -> Attachment:
        """Put the method on a model. Random parts come from torch's global generator."""
        ...

    def settings(self, model: nn.Module) -> Iterator[Method]:
        """The method at every useful value of its knob for this model, fewest parameters first."""
        ...

    def spec(self) -> str:
        """The method with its options, as a recipe would write it."""
        ...

    def with_knob(self, value: int) -> Method:
        """The method with its knob at a value."""
        ...

    def parameters(self, model: nn.Module) -> int:
        """How many parameters attaching to such a model would train; a skeleton without values will do."""
        ...

    def faults(self) -> tuple[str, ...]:
        """What is wrong with these options, in sentences that say what to do; empty if nothing is."""
        ...


@runtime_checkable
class Patterned(Method, Protocol):
    """A method that can take another rank in some kinds of layers, to come nearer to a budget."""

    def kinds(self, model: nn.Module) -> tuple[str, ...]:
        """The kinds of layers it acts on, such as ``q_proj``."""
        ...

    def with_one_more(self, kinds: frozenset[str]) -> Method:
        """The method with one rank more in layers of these kinds."""
        ...


@runtime_checkable
class Sourced(Method, Protocol):
    """A method that can draw on examples of what the model already knows.

    Attributes:
        needs_source: Whether it cannot do without them, as it is set.
    """

    @property
    def needs_source(self) -> bool: ...


@runtime_checkable
class Mixing(Method, Protocol):
    """A method that trains on other examples than those of the target alone."""

    def mixed(self, target: Sequence[Example], source: Sequence[Example], seed: int) -> list[Example]:
        """The examples to train on, made of the target's and of what the model already knows."""
        ...


@runtime_checkable
class Staged(Attachment, Protocol):
    """An attachment that wants the tasks of a mixture in an order of its own, known once it is prepared."""

    def order(self, tasks: Sequence[str], rows: int, seed: int) -> list[int]:
        """Which rows are trained on, in which order.

        Args:
            tasks: The task of every row of the training set.
            rows: How many rows training will take: batch size times accumulation times steps.
            seed: The seed of the run.

        Returns:
            ``rows`` indices into ``tasks``; an index may come more than once.
        """
        ...


@runtime_checkable
class Isolated(Attachment, Protocol):
    """An attachment that holds some scalars where they are, and can tell which and for how long."""

    def course(self) -> IsolationCourse:
        """How the choice of held scalars went over the training that is over."""
        ...


@runtime_checkable
class Following(Attachment, Protocol):
    """An attachment that heeds what earlier tasks of a sequence left, and leaves something to later ones."""

    def follow(self, past: Sequence[PastStage]) -> None:
        """Take up what earlier stages left, in their order. Called once, right after attaching; the first has none."""
        ...

    def keepsake(self) -> Mapping[str, Tensor]:
        """What later stages need of this one. Called when training is over, before ``detach``."""
        ...


@runtime_checkable
class Planned(Attachment, Protocol):
    """An attachment that chooses what it trains when it is prepared, and can tell what it has chosen."""

    def plan(self) -> ParameterPlan:
        """The tensors that were chosen, with all that the choice rests on."""
        ...


@runtime_checkable
class Displacing(Protocol):
    """Whatever has the gradient of a micro-batch taken at other weights than those that the optimizer moves.

    An attachment may be one. Whoever trains asks, and wraps the forward and backward passes of every micro-batch as
    `holdfast.weights.passes.take_gradient` does; between micro-batches the weights are those that the optimizer moves.
    """

    @property
    def passes(self) -> int:
        """How often a micro-batch goes forward and backward; the gradient of the last time is the one that counts."""
        ...

    def before_pass(self, step: int, micro_batch: int, turn: int) -> None:
        """Called before a pass (``turn``, from 0) of a micro-batch (from 0) of optimizer step ``step`` (from 0)."""
        ...

    def after_pass(self) -> None:
        """Called after each pass, also one that failed, and to no effect where none is under way.

        The weights are then bit for bit what they were before it.
        """
        ...
