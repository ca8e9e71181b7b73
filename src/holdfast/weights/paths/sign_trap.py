"""The sign trap of orthogonal adapters: peft's exact and truncated Cayley maps turn in opposite directions.

Loading a trained adapter with ``use_cayley_neumann`` flipped inverts every rotation without a word. The generators
look the same either way, so that only a record of the direction tells: ``marks`` are a few signed numbers a layer
that change sign with it, and stay as they are under rounding.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.generator import eigen_sizes
from holdfast.algebra.rotation import skew
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.weights.paths.rotations import Turning, site_of
from holdfast.weights.update import Update

Marks = Mapping[str, tuple[float, ...]]
"""Name of a layer or weight -> signed numbers that its change makes of fixed vectors."""

MARKS = 16
"""Numbers kept of each layer; the cosine of two changes is found to ``1 / sqrt(all of them)``."""

ALIKE, OPPOSED = 0.9, -0.5


def marks_of(update: Update) -> dict[str, tuple[float, ...]]:
    """``u^T dW v`` for fixed vectors of signs u and v, of each matrix that an update changes.

    The mean product of the marks of two updates is their inner product: signs tell direction, sizes tell length.
    """
    found = {}
    for name, change in update.items():
        if len(change.shape) == 2:
            rows, columns = (_signs(f"{side} {name}", size) for side, size in zip("uv", change.shape, strict=True))
            moved = change.times(columns.to(change.device)).double().cpu()
            found[name] = tuple((rows * moved).sum(-1).tolist())
    return found


def turn_marks(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """The same of the rotations of an orthogonal adapter, from its folder alone: ``u^T blockdiag(R - R^T) v / 2``.

    The skew part of a rotation changes sign with its direction; the rest, by which it shortens, does not.
    """
    turning, found = Turning.of(config), dict[str, tuple[float, ...]]()
    for name, tensor in tensors.items():
        if (site := site_of(name)) is None:
            continue
        rotation = turning.rotation(skew(tensor.detach().cpu().double()))
        blocks, width, _ = rotation.shape
        left, right = (_signs(f"{side} {site}", blocks * width).reshape(MARKS, blocks, width) for side in "uv")
        found[site] = tuple(torch.einsum("mkw,kwv,mkv->m", left, 0.5 * (rotation - rotation.mT), right).tolist())
    return found


Answer = Literal["as recorded", "reversed", "another change", "not told"]


@dataclass(frozen=True)
class Verdict:
    """Whether an adapter turns the way that it was trained to.

    Attributes:
        answer: The finding.
        sentence: The finding in words, and what to do.
        cosine: Between the change that was recorded and the one found, estimated; absent without a record.
    """

    answer: Answer
    sentence: str
    cosine: float | None = None


def sign_trap(tensors: Mapping[str, Tensor], config: Mapping[str, Any], recorded: Marks | None) -> Verdict:
    """Whether an adapter's folder turns the way that it was trained to.

    Without a record that cannot be told from the folder: -Q is as good a generator as Q. Generators which the series
    cannot turn by are then named as a hint; what decides is the target's loss with the tensors and with ``flipped``.

    Args:
        tensors: The adapter's tensors.
        config: Its configuration, as it stands in the folder now.
        recorded: What ``turn_marks`` gave when the adapter was written.

    Raises:
        IncompatibleUpdate: If the record is of other layers.
    """
    if recorded is None:
        return Verdict("not told", _without_record(tensors, config))
    cosine, flag = alike(recorded, turn_marks(tensors, config)), bool(config["use_cayley_neumann"])
    if cosine <= OPPOSED:
        return Verdict("reversed", _reversed(cosine, flag), cosine)
    if cosine < ALIKE:
        return Verdict(
            "another change",
            f"the adapter is not the one of its record (cosine {cosine:.2f}): its tensors were changed after it was "
            "written",
            cosine,
        )
    return Verdict("as recorded", f"the adapter turns as recorded (cosine {cosine:.2f})", cosine)


def alike(recorded: Marks, found: Marks) -> float:
    """The cosine of two changes, estimated from their marks over all layers together.

    Raises:
        IncompatibleUpdate: If the marks are of other layers.
        NotMeasurable: If one of the changes is none.
    """
    odd = sorted(recorded.keys() ^ found.keys())
    if odd:
        raise IncompatibleUpdate(f"'{odd[0]}' ({len(odd)} in all) is in the record or in the adapter, and not in both")
    one = [value for name in recorded for value in recorded[name]]
    other = [value for name in recorded for value in found[name]]
    length = math.hypot(*one) * math.hypot(*other)
    if not length:
        raise NotMeasurable("the direction of a change that changes nothing")
    return math.fsum(a * b for a, b in zip(one, other, strict=True)) / length


def flipped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The adapter with every generator negated, bit for bit: each rotation becomes its inverse under the same flag."""
    return {name: tensor if site_of(name) is None else -tensor for name, tensor in tensors.items()}


def repaired(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An adapter that was trained by the series, made exactly orthogonal: same angles, lengths kept.

    The flag is set to the exact map and every generator is negated, since the flag alone would invert the rotations.
    Directions that the series had shortened have their full length again, so that the update changes: with five terms
    by ``q^3 sqrt(1 + q^2) / 2`` of itself in the plane of each q, 0.07 at 0.5 and 0.5 at 0.9 (``orthogonality`` gives
    the largest q).

    Raises:
        NotMeasurable: If the adapter is exact already, or a generator reaches 1, beyond which the series was no
            rotation and nothing says what it should become.
    """
    if Turning.of(config).terms is None:
        raise NotMeasurable("the repair of an adapter that is exactly orthogonal: there is nothing to repair")
    name, largest = _largest(tensors)
    if largest >= 1:
        raise NotMeasurable(
            f"the exact rotation in the place of '{name}': its generator reaches {largest:.3g}, and from 1 on the "
            "series that it was trained with is no rotation; train it again with use_cayley_neumann=False"
        )
    return flipped(tensors), {**config, "use_cayley_neumann": False}


def _reversed(cosine: float, flag: bool) -> str:
    repair = (
        ", or negate every oft_R tensor as well, which is the repair: the adapter is exactly orthogonal then (repaired "
        "in holdfast.weights.paths.sign_trap)"
    )
    return (
        f"the adapter turns against its record (cosine {cosine:.2f}): use_cayley_neumann={flag} in its configuration "
        f"inverts what was trained with {not flag}, unless the tensors themselves were negated; set it back to "
        f"{not flag}{'' if flag else repair}"
    )


def _without_record(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> str:
    flag = Turning.of(config).terms is not None
    text = (
        f"whether use_cayley_neumann={flag} is what the adapter was trained with cannot be told from its folder, which "
        "holds no record of the direction; compare the loss on the target with that of the negated generators"
    )
    name, largest = _largest(tensors)
    if flag and largest >= 1:
        text += (
            f". A hint that it is not: the generator '{name}' reaches {largest:.3g}, where the series is no rotation"
        )
    return text


def _largest(tensors: Mapping[str, Tensor]) -> tuple[str, float]:
    """The generator with the largest eigenvalue, and its size."""
    found = {name: float(eigen_sizes(skew(q.detach())).max()) for name, q in tensors.items() if site_of(name)}
    if not found:
        raise NotMeasurable("the rotations of an adapter that holds no tensor named oft_R: it has none")
    name = max(found, key=lambda one: found[one])
    return name, found[name]


def _signs(seed: str, size: int) -> Float[Tensor, "marks size"]:
    """Vectors of +1 and -1 that depend on nothing but a name and a size: no library's random numbers."""
    raw = hashlib.shake_256(f"{seed} {size}".encode()).digest(math.ceil(MARKS * size / 8))
    bits = torch.frombuffer(bytearray(raw), dtype=torch.uint8)[:, None] >> torch.arange(8, dtype=torch.uint8) & 1
    return 2.0 * bits.flatten()[: MARKS * size].reshape(MARKS, size).double() - 1
