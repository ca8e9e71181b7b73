"""Paths on which layers are levelled, in the form of the checkpoint: an adapter stays an adapter of the same size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from holdfast.algebra.delta import Scaled
from holdfast.weights.path import DenseLine
from holdfast.weights.paths.adapter import AdapterPath, Points
from holdfast.weights.paths.dense import FolderLine
from holdfast.weights.paths.layerwise import Levelling, Place, place_of
from holdfast.weights.paths.rotations import clocked
from holdfast.weights.paths.starts import Start
from holdfast.weights.paths.step import relative_step
from holdfast.weights.paths.ways import additive_way
from holdfast.weights.update import Update


class LevelledAdapter(AdapterPath):
    """A levelled path along an adapter's own tensors.

    Args:
        folder: The adapter at 1.
        base: The base it was made from.
        label: Name of the path.
        points: The adapter's tensors at ``t``.
        levelling: The factors of its layers.
    """

    def __init__(self, folder: Path, base: nn.Module, label: str, points: Points, levelling: Levelling) -> None:
        super().__init__(folder, base, label, points)
        self.levelling = levelling


class LevelledLine(DenseLine):
    """A levelled path in the weights; ``t`` is the relative step, as on the straight line.

    Args:
        update: The update at 1.
        label: Name of the path.
        levelling: The factors of its layers.
    """

    def __init__(self, update: Update, label: str, levelling: Levelling) -> None:
        super().__init__(update)
        self.label, self.levelling = label, levelling

    def at(self, t: float) -> Update:
        """The update with each change as long as its factor says; the forms of its changes are kept."""
        return _scaled(self._update, self.levelling.factors(t))


class LevelledFolder(FolderLine):
    """A levelled path between two full models on disk; ``t`` is the relative step, as on the straight line.

    Args:
        tuned: The model at 1.
        base: The model at 0.
        label: Name of the path.
        levelling: The factors of its layers.

    Raises:
        IncompatibleUpdate: If the two do not hold the same tensors in the same shapes.
    """

    def __init__(self, tuned: Path, base: Path | nn.Module, label: str, levelling: Levelling) -> None:
        super().__init__(tuned, base)
        self.label, self.levelling = label, levelling

    def at(self, t: float) -> Update:
        """The update with each change as long as its factor says; each is read when it is used."""
        return _scaled(super().at(1.0), self.levelling.factors(t))

    def tensor(self, name: str, t: float) -> Tensor:
        """One tensor at ``t``, in the type of the tuned folder; what was not trained is copied bit for bit."""
        return super().tensor(name, factor_of(name, self.levelling.factors(t)))


Levelled = LevelledAdapter | LevelledLine | LevelledFolder


def level_told(path: Levelled) -> str:
    """Where a path is level, how far that is from the base, and what is level there, in a sentence."""
    at, strongest, level = path.levelling.level_t, path.levelling.strongest, path.levelling.level
    return (
        f"the path '{path.label}' passes its layer-wise point at t = {at:.6g}, {relative_step(path, at):.4g} of the "
        f"way by the norm of the update: the strength of its strongest layer is {level:.4g} there and {strongest:.4g} "
        "at the end"
    )


def turned_points(
    final: Mapping[str, Tensor],
    levelling: Levelling,
    config: Mapping[str, Any],
    begun: Callable[[str], Tensor | None] | None = None,
) -> Points:
    """An orthogonal adapter whose generators are each multiplied by their factor: ``c Q``, as published.

    An angle is ``2 arctan(c q)``, so that strengths are level to first order; see ``clocked`` for arguments and errors.
    """

    def points(t: float) -> dict[str, Tensor]:
        factors, found = levelling.factors(t), dict[str, Tensor]()
        for name, tensor in final.items():
            found |= clocked({name: tensor}, factor_of(name, factors), config=config, begun=begun)
        return found

    return points


def factor_points(
    final: Mapping[str, Tensor], starts: Mapping[str, Start], config: Mapping[str, Any], levelling: Levelling
) -> Points:
    """An adapter whose additive path is walked by each layer at its own pace.

    Raises:
        NotMeasurable: If the adapter has no additive path.
    """
    ways = {name: additive_way({name: tensor}, {name: starts[name]}, config) for name, tensor in final.items()}

    def points(t: float) -> dict[str, Tensor]:
        factors = levelling.factors(t)
        return {name: way(factor_of(name, factors))[name] for name, way in ways.items()}

    return points


def factor_of(name: str, factors: Mapping[Place, float]) -> float:
    """The factor of a weight or stored tensor.

    Raises:
        NotMeasurable: If it lies in a layer that has none.
    """
    return factors[place_of(name, factors)]


def _scaled(update: Update, factors: Mapping[Place, float]) -> Update:
    return Update({name: Scaled(factor_of(name, factors), change) for name, change in update.items()})
