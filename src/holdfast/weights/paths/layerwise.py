"""Strengths layer by layer: how hard each was changed, and factors that level them.

PEFT-Arena (arXiv 2605.28819) scales generators so that their strength is even over depth, by the mean of the first five
layers (SafeScale) or by the weakest (MinScale); it does not say by which norm, nor whether weak layers are
strengthened. Here a strength is the rms of angles or a relative size, and no layer is ever strengthened.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from holdfast.algebra.delta import Scaled, exact
from holdfast.algebra.generator import Clock, angles_rad, eigen_sizes
from holdfast.algebra.rotation import skew
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.core.sites import block_of
from holdfast.weights.paths.rotations import clocked, site_of, turned
from holdfast.weights.update import Update

FIRST_LAYERS = 5
"""Layers whose mean strength SafeScale takes for safe."""

Site = TypeVar("Site", int, str)
Rule = Literal["safe", "min"]
LayerFactors = Mapping[int | str, float]
"""Number of a layer, or name of a module in it -> what its change is multiplied by; a module goes before its layer."""


def turn_strengths(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[int, float]:
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


def size_strengths(update: Update, weights: Mapping[str, Tensor]) -> dict[int, float]:
    """``||dW||_F / ||W0||_F`` of each layer, over those of its weights that the update lists.

    Raises:
        IncompatibleUpdate: If the base lacks a weight of the update.
        NotMeasurable: If the update lists no weight of any layer, or a layer whose weights are all 0.
    """
    moved: dict[int, list[float]] = defaultdict(list)
    whole: dict[int, list[float]] = defaultdict(list)
    for name, change in update.items():
        layer, _ = block_of(name)
        if layer is None:
            continue
        if name not in weights:
            raise IncompatibleUpdate(f"the update changes '{name}', which this base does not have")
        moved[layer].append(change.norm())
        whole[layer].append(float(torch.linalg.vector_norm(exact(weights[name].detach()))))
    empty = [layer for layer, norms in whole.items() if not any(norms)]
    if empty:
        raise NotMeasurable(f"the relative change of layer {min(empty)}: its weights in the base are all 0")
    return _some({layer: math.hypot(*moved[layer]) / math.hypot(*whole[layer]) for layer in sorted(moved)})


def reference(strengths: Mapping[int, float], rule: Rule, first: int = FIRST_LAYERS) -> float:
    """The strength to which layers are brought: the mean of the first five, or the smallest.

    Raises:
        NotMeasurable: If there are fewer layers than the mean is over, or a layer did not move at all.
    """
    still = [layer for layer, strength in strengths.items() if not strength]
    if still:
        raise NotMeasurable(
            f"even strengths over depth: layer {still[0]} is listed and did not move, so that 0 would be the weakest; "
            "leave it out"
        )
    if rule == "min":
        return min(strengths.values())
    if len(strengths) < first:
        raise NotMeasurable(
            f"the mean strength of the first {first} layers: only {len(strengths)} were changed; ask for fewer"
        )
    return math.fsum(strengths[layer] for layer in sorted(strengths)[:first]) / first


def levelling(strengths: Mapping[Site, float], reference: float) -> dict[Site, float]:
    """The factor ``min(1, reference / strength)`` of each: strong ones are weakened, and none is strengthened."""
    return {site: min(1.0, reference / strength) if strength else 1.0 for site, strength in strengths.items()}


def by_layer(drift: Mapping[str, float]) -> dict[int, float]:
    """The mean drift of the modules of each layer that were measured.

    Raises:
        NotMeasurable: If no module lies in a layer.
    """
    found: dict[int, list[float]] = defaultdict(list)
    for site, value in drift.items():
        layer, _ = block_of(site)
        if layer is not None:
            found[layer].append(value)
    return _some({layer: math.fsum(found[layer]) / len(found[layer]) for layer in sorted(found)})


def drift_factors(
    drift: Mapping[str, float], rule: Rule | float = "safe", *, per: Literal["layer", "module"] = "layer"
) -> dict[int | str, float]:
    """Factors that level how far the outputs of modules drift on general prompts, rather than how far weights moved.

    Drift is proportional to a change of the weights, so that one measurement tells the factor. What is levelled is the
    drift that each module adds by itself, with inputs as they are in the base.

    Args:
        drift: Relative drift of each module on general prompts, by the module's name in the base.
        rule: The drift to level to: the mean of the first five layers, the least of all layers, or a number.
        per: One factor a layer, from its mean, or one a module; weights of modules that were not measured, such as
            norms, then take the factor of their layer.
    """
    layers = by_layer(drift)
    level = reference(layers, rule) if isinstance(rule, str) else rule
    factors: dict[int | str, float] = dict(levelling(layers, level).items())
    if per == "module":
        factors.update(levelling(drift, level))
    return factors


def factor_of(name: str, factors: LayerFactors) -> float:
    """The factor of a weight or stored generator: its module's, else its layer's; 1 outside the layers.

    Raises:
        NotMeasurable: If the weight lies in a layer that has no factor.
    """
    module = site_of(name) or name.rpartition(".")[0]
    layer, _ = block_of(module)
    if module in factors:
        return factors[module]
    if layer is None:
        return 1.0
    if layer not in factors:
        raise NotMeasurable(
            f"a factor for '{name}': layer {layer} was not measured; measure every layer that was changed"
        )
    return factors[layer]


class LayerLine:
    """The straight line in the weights to the point ``W0 + c dW``, with a factor c for each layer or module.

    Raises:
        NotMeasurable: If a layer that was changed has no factor.
    """

    label = "layerwise"

    def __init__(self, update: Update, factors: LayerFactors) -> None:
        self._update = update
        self._factors = {name: factor_of(name, factors) for name in update}

    def at(self, t: float) -> Update:
        """The update with each change ``c t`` times as long; the forms of its changes are kept."""
        return Update({name: Scaled(t * self._factors[name], change) for name, change in self._update.items()})


def weakened(
    tensors: Mapping[str, Tensor],
    factors: LayerFactors,
    clock: Clock = "linear",
    *,
    config: Mapping[str, Any],
    begun: Callable[[str], Tensor | None] | None = None,
) -> dict[str, Tensor]:
    """An orthogonal adapter with each generator weakened by its factor: the point at 1 of its layer-wise path.

    The linear clock, ``c Q``, is the published one. With the geodesic clock every angle is multiplied by its factor, so
    that strengths are levelled exactly and not to first order. Arguments and errors are those of ``clocked``.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        found |= clocked({name: tensor}, factor_of(name, factors), clock, config=config, begun=begun)
    return found


@dataclass(frozen=True)
class Levelled:
    """What factors did to the strengths of layers.

    Attributes:
        before: Strength of each layer.
        after: The same after the factors; within a layer that has several, not just a multiple.
        step_frac: Length of the weakened update as a share of the whole: a layer-wise point is worth no more than a
            uniform one of the same step.
    """

    before: Mapping[int, float]
    after: Mapping[int, float]
    step_frac: float


def levelled(update: Update, factors: LayerFactors, weights: Mapping[str, Tensor]) -> Levelled:
    """Strengths by size before and after factors, and the step, from the norms of the changes."""
    point = LayerLine(update, factors).at(1.0)
    return Levelled(size_strengths(update, weights), size_strengths(point, weights), step_frac(point, update))


def levelled_turns(
    tensors: Mapping[str, Tensor], point: Mapping[str, Tensor], config: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> Levelled:
    """Strengths by angle of an orthogonal adapter and of its weakened form, and the step between their updates."""
    return Levelled(
        turn_strengths(tensors, config),
        turn_strengths(point, config),
        step_frac(turned(point, config, weights), turned(tensors, config, weights)),
    )


def step_frac(point: Update, whole: Update) -> float:
    """``||dW of the point||_F / ||dW of the whole||_F`` over all weights together.

    Raises:
        NotMeasurable: If the whole update changes nothing.
    """
    length = whole.norm()
    if not length:
        raise NotMeasurable("a step as a share of an update that changes nothing")
    return point.norm() / length


def _some(strengths: dict[int, float]) -> dict[int, float]:
    if not strengths:
        raise NotMeasurable("strengths by layer: nothing that was changed lies in a numbered layer")
    return strengths
