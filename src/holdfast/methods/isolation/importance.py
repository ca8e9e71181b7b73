"""How important a scalar is taken to be: what the gradients of the present stream of data say of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from holdfast.algebra.ranks import local
from holdfast.core.errors import NotMeasurable
from holdfast.methods.isolation.remembering import Remembering
from holdfast.methods.isolation.scene import Scene
from holdfast.weights.evaluating import evaluating

FAR = 2.0**32
"""Scale at which sums of squares are brought back: far from what float32 can hold, and seldom reached."""


class Importance(Remembering, ABC):
    """A score of every scalar, at least 0; larger is more important.

    Attributes:
        watches: Whether it wants to see the gradients of every step.
    """

    watches: bool = False

    @abstractmethod
    def scores(self, scene: Scene) -> Mapping[str, Tensor]:
        """The scores of the parts held here, by tensor; they may be made one at a time as they are asked for."""


class Lazily(Mapping[str, Tensor]):
    """Tensors that are made when they are asked for, so that they need not lie in memory together."""

    def __init__(self, names: Mapping[str, object], make: Callable[[str], Tensor]) -> None:
        self._names, self._make = tuple(names), make

    def __getitem__(self, name: str) -> Tensor:
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class SquaredGradients(Importance):
    """The running average of squared gradients: ``s = beta s + (1 - beta) g**2`` (EPI, arXiv 2604.14010).

    ``g`` is the gradient of the whole, accumulated batch, unscaled and before clipping, of protected scalars too: if
    it were masked, whatever is protected would sink until it is released, and the choice would swing. Started at zero,
    it ranks scalars as the bias-corrected average does. Memory: one float32 a scalar.

    What is stored is ``s / beta**t``, so that a step is one pass over the average and not two; now and then it is
    brought back to scale.
    """

    watches = True

    def __init__(self, beta: float) -> None:
        self._beta = beta
        self._sums: dict[str, Tensor] = {}
        self._scales: dict[str, float] = {}

    def watch(self, name: str, gradient: Tensor) -> None:
        if name not in self._sums:
            self._sums[name], self._scales[name] = torch.zeros_like(gradient, dtype=torch.float32), 1.0
        if self._scales[name] > FAR:
            self._sums[name].div_(self._scales[name])
            self._scales[name] = 1.0
        self._scales[name] /= self._beta
        gradient = gradient.float()
        self._sums[name].addcmul_(gradient, gradient, value=(1 - self._beta) * self._scales[name])

    def scores(self, scene: Scene) -> Mapping[str, Tensor]:
        return Lazily(scene.tensors, lambda name: self._score(name, scene))

    def _score(self, name: str, scene: Scene) -> Tensor:
        if name not in self._sums:  # no gradient has reached it yet
            return torch.zeros_like(scene.part(name), dtype=torch.float32)
        # As long as all tensors are seen in every step they have one scale, which changes no ranking.
        alike = len(set(self._scales.values())) == 1
        return self._sums[name] if alike else self._sums[name] / self._scales[name]

    def extra_bytes(self) -> int:
        return sum(sums.numel() * sums.element_size() for sums in self._sums.values())

    def state(self) -> dict[str, Tensor]:
        scales = {f"scale.{name}": torch.tensor(scale, dtype=torch.float64) for name, scale in self._scales.items()}
        return {**scales, **{f"average.{name}": sums for name, sums in self._sums.items()}}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._sums = {key.removeprefix("average."): t.clone() for key, t in state.items() if key.startswith("average.")}
        self._scales = {name: float(state[f"scale.{name}"]) for name in self._sums}


class AdamMoment(Importance):
    """The second moment that Adam keeps anyway, ``exp_avg_sq``: it costs no memory and no time.

    It is an average of squared gradients as well, of clipped ones, over a horizon of ``1 / (1 - beta2)`` steps. It has
    to be fed the gradients of protected scalars too, or none would ever be released; suppressing the update and not
    the gradient sees to that.
    """

    def scores(self, scene: Scene) -> Mapping[str, Tensor]:
        return Lazily(scene.tensors, lambda name: scene.moment(name, "exp_avg_sq", "importance='adam_v'"))

    def notes(self) -> tuple[str, ...]:
        return ("importance is Adam's own second moment: an average over its own horizon, of clipped gradients",)


class ReferenceGradients(Importance):
    """Mean squared gradient of batches of what the model already knows, measured anew at every choice.

    Not in the paper, whose signal is the present stream's. Cost: a forward and backward pass of every batch at every
    choice, and one float32 a scalar while it is measured.
    """

    def __init__(self, batches: int, who: str) -> None:
        self._batches, self._who = batches, who

    def begin(self, scene: Scene) -> None:
        scene.material.known(self._who)

    def scores(self, scene: Scene) -> Mapping[str, Tensor]:
        names, tensors = list(scene.tensors), list(scene.tensors.values())
        sums = {name: torch.zeros_like(scene.part(name), dtype=torch.float32) for name in names}
        device = tensors[0].device
        with evaluating(scene.model), torch.enable_grad():
            for _, batch in zip(range(self._batches), scene.material.source, strict=False):
                loss = scene.model(**{key: value.to(device) for key, value in batch.items()}).loss
                gradients = torch.autograd.grad(loss, tensors, allow_unused=True)
                for name, gradient in zip(names, gradients, strict=True):
                    if gradient is not None:
                        sums[name].add_(local(gradient).float().square())
        return sums

    def notes(self) -> tuple[str, ...]:
        return ("importance is measured on reference examples, which the paper does not do",)


def some_signal(scores: Mapping[str, Tensor], scene: Scene) -> Mapping[str, Tensor]:
    """The scores, if they are not all zero.

    Raises:
        NotMeasurable: If they are: nothing could be said of what is important.
    """
    device = next(iter(scene.tensors.values())).device
    # One tensor with a signal is enough, and is found at once.
    found = next((1.0 for score in scores.values() if bool((score != 0).any())), 0.0)
    if not float(scene.ranks.most(torch.tensor([found], device=device))):
        raise NotMeasurable(
            f"after step {scene.step} all gradients of the {len(scores)} tensors that could be held are zero: has the "
            "loss anything to do with them, and are labels left in the batches?"
        )
    return scores
