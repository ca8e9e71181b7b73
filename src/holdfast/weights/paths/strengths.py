"""How hard each layer was changed: by the angles of its rotations, by its relative size, or by what it does to outputs.

PEFT-Arena (arXiv 2605.28819) scales generators so that their strength is even over depth, and does not say by which
norm. Here a strength is the rms of angles where there are some, and a relative size elsewhere. Ours is the drift on
general prompts: what counts is what a change does, and not how large it is.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final, Literal

import torch
from torch import Tensor

from holdfast.algebra.delta import exact
from holdfast.algebra.generator import angles_rad, eigen_sizes
from holdfast.algebra.rotation import skew
from holdfast.core.diagnosis import UPDATE, Diagnosis
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.core.sites import block_of
from holdfast.weights.paths.rotations import site_of

FIRST_LAYERS: Final = 5
"""Layers whose mean strength SafeScale takes for safe."""

DRIFT: Final = "drift_relative/general"

Rule = Literal["safe", "min"]
Strengths = Mapping[int | str, float]
"""Number of a layer, or name of a module -> how hard it was changed."""


def turn_strengths(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[int | str, float]:
    """The rms eigen-angle of each layer of an orthogonal adapter, in rad, over all blocks of the layer.

    Raises:
        NotMeasurable: If blocks are shared, so that their number is not stored, or no layer is turned.
    """
    if config.get("block_share"):
        raise NotMeasurable("strengths of layers whose blocks are shared: how often each occurs is not stored")
    angles: dict[int, list[Tensor]] = defaultdict(list)
    for name, tensor in tensors.items():
        layer, _ = block_of(name)
        if layer is not None and site_of(name):
            angles[layer].append(angles_rad(eigen_sizes(skew(tensor.detach().double()))).flatten())
    found = {layer: torch.cat(angles[layer]).square().mean().sqrt() for layer in sorted(angles)}
    return _some({layer: float(strength) for layer, strength in found.items()})


def size_strengths(lengths: Mapping[str, float], weights: Mapping[str, Tensor]) -> dict[int | str, float]:
    """``||dW||_F / ||W0||_F`` of each layer, over those of its weights that changed or could have.

    Args:
        lengths: ``||dW||_F`` of each weight that an update lists.
        weights: The weights of the base.

    Raises:
        IncompatibleUpdate: If the base lacks a weight of the update.
        NotMeasurable: If the update lists no weight of any layer, or a layer whose weights are all 0.
    """
    moved: dict[int, list[float]] = defaultdict(list)
    whole: dict[int, list[float]] = defaultdict(list)
    for name, length in lengths.items():
        layer, _ = block_of(name)
        if layer is None:
            continue
        if name not in weights:
            raise IncompatibleUpdate(f"the update changes '{name}', which this base does not have")
        moved[layer].append(length)
        whole[layer].append(float(torch.linalg.vector_norm(exact(weights[name].detach()))))
    empty = [layer for layer, norms in whole.items() if not any(norms)]
    if empty:
        raise NotMeasurable(f"the relative change of layer {min(empty)}: its weights in the base are all 0")
    return _some({layer: math.hypot(*moved[layer]) / math.hypot(*whole[layer]) for layer in sorted(moved)})


def drift_strengths(diagnosis: Diagnosis) -> dict[int | str, float]:
    """How far the outputs of each module move on general prompts, relative to those of the base, and of each layer.

    The root of the relative drift, which is a share of energies: the root is proportional to the change of the weights,
    so that one measurement tells the factor. It is what each module adds by itself, with inputs as they are in the
    base. The value of a layer, for weights in it that were not measured, is the root mean square of its modules.

    Raises:
        NotMeasurable: If drift on general prompts was not measured in any layer.
    """
    asked = [each for each in diagnosis.records if each.subject == UPDATE and each.quantity == DRIFT]
    energies = {each.site: each.value for each in asked if each.value is not None}
    layers: dict[int, list[float]] = defaultdict(list)
    for site, energy in energies.items():
        layer, _ = block_of(site)
        if layer is not None:
            layers[layer].append(energy)
    if not layers:
        reason = next((f" ({each.reason})" for each in asked if each.reason), "")
        raise NotMeasurable(
            f"strengths by drift: the diagnosis of {diagnosis.tuned} holds no drift on general prompts inside the "
            f"layers{reason}; diagnose it with --general"
        )
    found: dict[int | str, float] = {site: math.sqrt(energy) for site, energy in energies.items()}
    found.update({layer: math.sqrt(math.fsum(each) / len(each)) for layer, each in layers.items()})
    return found


def reference(strengths: Strengths, rule: Rule, first: int = FIRST_LAYERS) -> float:
    """The strength to which layers are brought: the mean of the first five, or the smallest.

    Raises:
        NotMeasurable: If there are fewer layers than the mean is over.
    """
    if rule == "min":
        return min(strengths.values())
    layers = {site: strength for site, strength in strengths.items() if isinstance(site, int)}
    if len(layers) < first:
        raise NotMeasurable(
            f"the mean strength of the first {first} layers: only {len(layers)} were changed; the weakest layer is a "
            "reference for any number of them (min_scale)"
        )
    return math.fsum(layers[layer] for layer in sorted(layers)[:first]) / first


def _some(strengths: dict[int | str, float]) -> dict[int | str, float]:
    if not strengths:
        raise NotMeasurable("strengths by layer: nothing that was changed lies in a numbered layer")
    return strengths
