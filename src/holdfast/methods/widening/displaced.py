"""Methods that have gradients taken elsewhere than at the weights that the optimizer moves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from holdfast.core.record import Record
from holdfast.methods.on_top import OnTop, OnTopAttachment
from holdfast.methods.widening.displacement import Displacement
from holdfast.weights.contracts import Attachment

_SEED: Final = "seed"
_SIGNED: Final = 1 << 63


@dataclass(frozen=True)
class Displaced(OnTop):
    """A method that has the gradient of every micro-batch taken elsewhere, while the inner one moves the weights.

    The optimizer's own steps, its moments and its weight decay are those of clean weights; so is whatever is saved,
    evaluated, or added by a penalty.
    """

    @abstractmethod
    def displacement(self, model: nn.Module, seed: int = 0) -> Displacement:
        """Where gradients are taken, for a training loop of your own; ``on`` plays no part.

        Args:
            model: What of it has ``requires_grad`` is what is trained.
            seed: Of what is drawn at random.

        Raises:
            RecipeError: If an option is out of range.
        """

    @property
    def passes(self) -> int:
        """How often a micro-batch goes forward and backward."""
        return 1

    def record(self, displacement: Displacement) -> Sequence[Record]:
        """What there is to tell of a displacement after training."""
        return ()

    def attach(self, model: nn.Module) -> DisplacedAttachment:
        """Attach the inner method; random numbers are those of the seed that torch was given last.

        Raises:
            RecipeError: If an option is out of range.
        """
        self.check()
        return DisplacedAttachment(self, self.inner.attach(model), torch.initial_seed() % _SIGNED)

    def faults(self) -> tuple[str, ...]:
        found = super().faults()
        if found:
            return found
        below = self.inner
        while isinstance(below, OnTop):
            if isinstance(below, Displaced):
                return (f"{self.name}: {below.name} below it has gradients taken elsewhere already; take one of them",)
            below = below.inner
        return ()


class DisplacedAttachment(OnTopAttachment):
    """An attached method whose gradients are taken elsewhere."""

    def __init__(self, method: Displaced, inner: Attachment, seed: int) -> None:
        super().__init__(inner)
        self._method, self._seed = method, seed
        self._displacement = method.displacement(self.model, seed)

    @property
    def passes(self) -> int:
        """How often a micro-batch goes forward and backward."""
        return self._displacement.passes

    def before_pass(self, step: int, micro_batch: int, turn: int) -> None:
        """Displace the weights."""
        self._displacement.before_pass(step, micro_batch, turn)

    def after_pass(self) -> None:
        """Give the weights back."""
        self._displacement.after_pass()

    def own_state(self) -> Mapping[str, Tensor]:
        return {_SEED: torch.tensor(self._seed)}

    def own_restore(self, state: Mapping[str, Tensor]) -> None:
        self._seed = int(state[_SEED])
        self._displacement = self._method.displacement(self.model, self._seed)

    def facts(self) -> Sequence[Record]:
        """What the inner attachment has to tell, and what there is to tell of the displacement."""
        return (*super().facts(), *self._method.record(self._displacement))

    def detach(self) -> nn.Module:
        self.after_pass()
        return super().detach()
