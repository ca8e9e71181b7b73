"""Orthogonal adapters along their rotations: from stored generators to points of a path, updates and soundness.

peft stores, for each block of the inputs, the upper triangle of a skew Q under names that end in ``oft_R.weight``.
What it makes of Q depends on a flag. The weight becomes ``W C(Q)`` with the exact Cayley map C, and ``W S(-Q)`` with
its series S: the two turn in opposite directions. ``Turning`` says which, and everything else goes through it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra import generator as generators
from holdfast.algebra.delta import Delta, Dense, exact
from holdfast.algebra.generator import Clock
from holdfast.algebra.rotation import Rotation, cayley, skew
from holdfast.core.errors import DamagedCheckpoint, IncompatibleUpdate, NotMeasurable
from holdfast.weights.update import Update

ROUGH_DEFECT = 0.05
"""A defect above which lengths change visibly."""

_GENERATOR = re.compile(r"^(?:base_model\.model\.)?(?P<site>.+)\.oft_R\.(?:[^.]+\.)?weight$")


def site_of(name: str) -> str | None:
    """The module whose inputs a stored tensor turns; ``None`` for tensors that are no generator."""
    match = _GENERATOR.match(name)
    return match["site"] if match else None


@dataclass(frozen=True)
class Turning:
    """How an adapter makes a rotation of a generator.

    Attributes:
        terms: Terms of the truncated series; ``None`` for the exact Cayley map.
    """

    terms: int | None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """What an adapter's configuration asks peft for.

        Raises:
            DamagedCheckpoint: If the configuration does not say which map is meant.
            NotMeasurable: If the adapter is none of rotations, or what runs is not what its tensors say.
        """
        if str(config.get("peft_type")).upper() != "OFT":
            raise NotMeasurable(f"the rotations of a {str(config.get('peft_type')).lower()} adapter: it has none")
        if not isinstance(config.get("use_cayley_neumann"), bool):
            raise DamagedCheckpoint(
                "the configuration does not say whether its rotations are exact (use_cayley_neumann), and the two maps "
                "turn in opposite directions; add the value with which the adapter was trained"
            )
        if config.get("coft"):
            raise NotMeasurable("rotations under coft: peft shortens the stored generators whenever they run")
        if not config["use_cayley_neumann"]:
            return cls(None)
        terms = int(config.get("num_cayley_neumann_terms", 5))
        if terms < 3:
            raise NotMeasurable(
                f"rotations by {terms} terms: peft sums I{' + 2Q' * (terms == 2)}, which is no truncated Cayley map; "
                "three terms or more are one"
            )
        # peft adds the cube before it looks whether the square was the last power: three terms are summed as four.
        return cls(max(terms, 4))

    def rotation(self, generator: Float[Tensor, "blocks width width"]) -> Float[Tensor, "blocks width width"]:
        """The R by which the weight is multiplied, ``W blockdiag(R)``."""
        return cayley(generator) if self.terms is None else generators.neumann(-generator, self.terms)

    def change(self, weight: Float[Tensor, "outputs inputs"], upper: Float[Tensor, "blocks pairs"]) -> Delta:
        """What a stored tensor does to the weight of its layer; a single block is shared by all inputs.

        Raises:
            IncompatibleUpdate: If the blocks do not fill the inputs of the weight.
        """
        dtype = torch.promote_types(exact(weight).dtype, exact(upper).dtype)
        weight, found = weight.detach().to(dtype), skew(upper.detach().to(dtype))
        count = weight.shape[-1] // found.shape[-1]
        if weight.dim() != 2 or found.shape[0] not in {1, count} or count * found.shape[-1] != weight.shape[1]:
            raise IncompatibleUpdate(
                f"{found.shape[0]} blocks of width {found.shape[-1]} do not fill a weight of shape "
                f"{tuple(weight.shape)}; was the adapter made for another base?"
            )
        found = found.expand(count, -1, -1)
        if self.terms is None:
            return Rotation(weight, found)
        motion = self.rotation(found) - torch.eye(found.shape[-1], dtype=found.dtype, device=found.device)
        split = weight.reshape(len(weight), count, -1)
        return Dense(torch.einsum("okw,kwv->okv", split, motion).flatten(1))


def clocked(
    tensors: Mapping[str, Tensor],
    t: float,
    clock: Clock = "linear",
    *,
    config: Mapping[str, Any],
    begun: Callable[[str], Tensor | None] | None = None,
) -> dict[str, Tensor]:
    """An orthogonal adapter at ``t`` of the path from the base to it, in the form in which it is stored.

    Args:
        tensors: The adapter's tensors under their stored or live names.
        t: 0 for the base, 1 for the adapter: the very tensors then.
        clock: How generators grow; other tensors go straight, at the share that generators have.
        config: The adapter's configuration.
        begun: What a tensor that is no generator was before training, or ``None`` where nobody knows.

    Raises:
        NotMeasurable: If a tensor is no generator and its initial value is not known, or a geodesic is asked for along
            a series that is no rotation.
    """
    turning = Turning.of(config)
    if t == 1:
        return dict(tensors)
    share = generators.share_of(t, clock)
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if site_of(name) is None:
            found[name] = _straight(name, begun and begun(name), tensor, share)
            continue
        whole = skew(exact(tensor.detach()))
        if clock == "geodesic" and turning.terms is not None:
            _refuse_beyond(name, float(generators.eigen_sizes(whole).max()))
        rows, columns = torch.triu_indices(whole.shape[1], whole.shape[2], 1, device=whole.device)
        found[name] = generators.clocked(whole, t, clock)[:, rows, columns].to(tensor.dtype)
    return found


def turned(tensors: Mapping[str, Tensor], config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Update:
    """The update that the generators of an adapter make; its other tensors are left aside.

    Args:
        tensors: The adapter's tensors.
        config: Its configuration.
        weights: The weights of the base, by name; in float64 the update is worked out in float64.

    Raises:
        IncompatibleUpdate: If the base has no such weight, or one of another shape.
    """
    turning, changes = Turning.of(config), dict[str, Delta]()
    for name, tensor in tensors.items():
        site = site_of(name)
        if site is None:
            continue
        weight = weights.get(f"{site}.weight")
        if weight is None:
            raise IncompatibleUpdate(f"the adapter turns '{site}', for which this base has no weight")
        changes[f"{site}.weight"] = turning.change(weight, tensor)
    return Update(changes)


@dataclass(frozen=True)
class Soundness:
    """How far the rotations of one layer are from rotations.

    Attributes:
        defects: ``||R^T R - I||_F / sqrt(width)`` of each block.
        largest: The largest q of its generators; from 1 on, a series is no rotation at all.
        rms_angle_rad: The root of the mean square of its angles.
        series: Whether the Cayley map is cut off; where it is exact, every q is sound.
    """

    defects: tuple[float, ...]
    largest: float
    rms_angle_rad: float
    series: bool

    def complaint(self) -> str | None:
        """What is wrong, in a sentence; ``None`` where nothing is."""
        if self.series and self.largest >= 1:
            return (
                f"not a rotation: its generator reaches {self.largest:.3g}, and the series of the Cayley map holds "
                "below 1; train with use_cayley_neumann=False"
            )
        if (worst := max(self.defects)) > ROUGH_DEFECT:
            return (
                f"a rough rotation: it misses orthogonality by {worst:.3g}, above {ROUGH_DEFECT}, because the Cayley "
                "map is cut off; an exact one turns by the same angles"
            )
        return None


def orthogonality(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Soundness]:
    """How far each layer's rotations are from rotations, from the generators alone, in float64."""
    turning, found = Turning.of(config), dict[str, Soundness]()
    for name, tensor in tensors.items():
        if (site := site_of(name)) is None:
            continue
        sizes = generators.eigen_sizes(skew(tensor.detach().double()))
        missed = torch.zeros(len(sizes)) if turning.terms is None else generators.series_defect(sizes, turning.terms)
        found[site] = Soundness(
            tuple(missed.tolist()), float(sizes.max()), generators.rms_angle_rad(sizes), turning.terms is not None
        )
    return found


def _straight(name: str, begun: Tensor | None, final: Tensor, share: float) -> Tensor:
    if begun is None:
        raise NotMeasurable(
            f"'{name}' is no generator, and what it was before training is not known; "
            "give its initial value, or take the dense line"
        )
    return (exact(begun) + share * (exact(final) - exact(begun))).to(final.dtype)


def _refuse_beyond(name: str, largest: float) -> None:
    if largest >= 1:
        raise NotMeasurable(
            f"the angles of '{name}': its generator reaches {largest:.3g}, and from 1 on the series that peft sums is "
            "no rotation; take the linear clock"
        )
