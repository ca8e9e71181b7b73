"""What a fine-tuning did to a model: one change for each weight it moved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from holdfast.algebra.delta import Delta, Scaled, Sum, exact
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable


class Update(Mapping[str, Delta]):
    """Weight name -> change, under the names of the base model's parameters.

    Weights that are not listed did not move.

    Args:
        changes: The changes.
        apart: Pairs of names that are one weight of the base, and that are moved apart: no weight can hold that. Each
            change is still that of its layer.
    """

    def __init__(self, changes: Mapping[str, Delta], apart: Iterable[tuple[str, str]] = ()) -> None:
        self._changes, self.apart = dict(changes), tuple(apart)

    def __getitem__(self, name: str) -> Delta:
        return self._changes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._changes)

    def __len__(self) -> int:
        return len(self._changes)

    def scaled(self, factor: float) -> Update:
        """The same update, ``factor`` times as long; the forms of its changes are kept."""
        return Update({name: Scaled(factor, change) for name, change in self.items()}, self.apart)

    def only(self, keep: Callable[[str], bool]) -> Update:
        """The part of the update on weights whose name ``keep`` says yes to."""
        kept = {name: change for name, change in self.items() if keep(name)}
        return Update(kept, (pair for pair in self.apart if not kept.keys().isdisjoint(pair)))

    def plus(self, other: Update) -> Update:
        """Both updates, one on top of the other.

        Raises:
            IncompatibleUpdate: If a weight changes its shape from one to the other.
        """
        for name in self.keys() & other.keys():
            if self[name].shape != other[name].shape:
                raise IncompatibleUpdate(f"'{name}' has shape {self[name].shape} here and {other[name].shape} there")
        return Update(
            {
                name: Sum(self[name], other[name]) if name in self and name in other else self.get(name) or other[name]
                for name in (*self, *(name for name in other if name not in self))
            },
            (*self.apart, *other.apart),
        )

    def norm(self) -> float:
        """Frobenius norm over all weights together."""
        return math.hypot(*(change.norm() for change in self.values())) if self else 0.0

    @contextmanager
    def added_to(self, model: nn.Module) -> Iterator[nn.Module]:
        """The model with the update in its weights, for the length of a ``with`` block.

        The sum is formed in float32 and rounded once to the model's own precision. On leaving, every weight is
        copied back from what was kept, never subtracted: the model is bit for bit what it was, also after an
        exception. Cost: one more copy of the weights that move.

        Raises:
            NotMeasurable: If layers that share a weight in the model are moved apart.
            IncompatibleUpdate: If a weight is missing from the model or has another shape there; nothing is changed.
        """
        weights = self.places_in(model)
        kept = {name: weights[name].detach().clone() for name in self}
        try:
            self.write_into(model)
            yield model
        finally:
            with torch.no_grad():
                for name, tensor in kept.items():
                    weights[name].copy_(tensor)

    def write_into(self, model: nn.Module) -> None:
        """Add the update to the weights of a model for good: in float32, rounded once to the model's own precision.

        Raises:
            NotMeasurable: If layers that share a weight in the model are moved apart.
            IncompatibleUpdate: If a weight is missing from the model or has another shape there; nothing is changed.
        """
        weights = self.places_in(model)
        with torch.no_grad():
            for name, change in self.items():
                weight = weights[name]
                moved = change.to(weight.device).dense()
                weight.copy_((exact(weight) + moved).to(weight.dtype))

    def places_in(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """The weights of a model by name, found to fit the update.

        Raises:
            NotMeasurable: If layers that share a weight in the model are moved apart.
            IncompatibleUpdate: If a weight is missing from the model or has another shape there.
        """
        self._check_apart(dict(model.named_parameters(remove_duplicate=False)))
        weights = dict(model.named_parameters())
        self._check(weights)
        return weights

    def _check_apart(self, weights: Mapping[str, torch.Tensor]) -> None:
        for one, other in self.apart:
            if one in weights and weights[one] is weights.get(other):
                raise NotMeasurable(
                    f"the update cannot be written into the weights of this model: '{one}' and '{other}' are one "
                    "weight of the base, and the adapter moves them apart"
                )

    def _check(self, weights: Mapping[str, torch.Tensor]) -> None:
        missing = [name for name in self if name not in weights]
        if missing:
            raise IncompatibleUpdate(
                f"{len(missing)} of {len(self)} changed weights are not in this model, the first is '{missing[0]}'; "
                "was the update made from another architecture?"
            )
        for name, change in self.items():
            if tuple(weights[name].shape) != change.shape:
                raise IncompatibleUpdate(
                    f"'{name}' has shape {tuple(weights[name].shape)} in this model and {change.shape} in the update; "
                    "was it made from another base?"
                )
