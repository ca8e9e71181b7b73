"""Noise in the space of a LoRA whose A is frozen: exactly normal in the weights, on a support that is known.

A change ``s B A`` with normal B is normal in the weight it changes. Whatever a fine-tuning of B alone does lies in the
range of that noise, at a distance that is its displacement of B, so that a certificate for the noise covers it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from holdfast.algebra.delta import exact
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.noise import Noise
from holdfast.core.errors import NotMeasurable
from holdfast.weights.bare import base_name
from holdfast.weights.rays import Ray, gaussian
from holdfast.weights.update import Update


def live_frozen_a(adapter: PeftModel, seed: int) -> Ray:
    """Normal noise on the B of every layer of a live adapter: only these small tensors move, never the base.

    The base may be quantised.

    Raises:
        NotMeasurable: If a layer is not of plain LoRA.
    """
    names = {name for name, _, _ in _layers(adapter)}
    ray = gaussian(adapter, seed, names.__contains__)
    return Ray("frozen A", ray.update, ray.d, ray.left_out)


def frozen_a(adapter: PeftModel, seed: int) -> Ray:
    """The same noise in the weights of the base, under its names: ``s B A`` for the A of a live adapter.

    Its unit is a standard deviation of B. What the adapter itself adds is not in it.

    Raises:
        NotMeasurable: If a layer is not of plain LoRA.
    """
    changes, count = {}, 0
    for name, module, layer in _layers(adapter):
        scale, right, left = _factors(layer)
        noise = Noise(tuple(left.shape), seed, base_name(name), device=left.device)
        changes[f"{base_name(module)}.weight"] = LowRank(scale * noise.dense(), right)
        count += left.numel()
    own = (base_name(name) for name, _ in adapter.named_parameters() if "lora_" not in name)
    return Ray("frozen A", Update(changes), count, tuple(name for name in own if name not in changes))


def displacement_of_b(update: Update, adapter: PeftModel, tolerance_frac: float = 1e-3) -> float:
    """How far a fine-tuning is from the base in the space of the noise: the norm of the displacement of B.

    Divided by the standard deviation of the noise, it is the Mahalanobis norm that certificates speak of.

    Args:
        update: What a fine-tuning did to the weights of the base.
        adapter: The live adapter whose A were frozen.
        tolerance_frac: Share of a change that may lie outside of the range, as rounding.

    Raises:
        NotMeasurable: If the update leaves the range of the noise, of which nothing is certified; or a layer is not of
            plain LoRA.
    """
    supports = {f"{base_name(module)}.weight": _factors(layer) for _, module, layer in _layers(adapter)}
    square = 0.0
    for name, change in update.items():
        norm = change.norm()
        if name not in supports:
            if norm:
                raise NotMeasurable(f"'{name}' moved, and the noise never moves it: no certificate covers this update")
            continue
        scale, right, _ = supports[name]
        rows = right.double()
        moved = change.dense().to(rows.device).double()
        left = moved @ torch.linalg.pinv(rows)
        outside = float(torch.linalg.vector_norm(moved - left @ rows))
        if outside > tolerance_frac * norm:
            raise NotMeasurable(
                f"{outside / norm:.2g} of the change of '{name}' lies outside of the rows of A, where the noise never "
                "goes: no certificate covers this update"
            )
        square += float((left / scale).square().sum())
    return math.sqrt(square)


def _layers(adapter: PeftModel) -> Iterator[tuple[str, str, LoraLayer]]:
    """The name of B, the name of the module and the layer, for every layer of a plain LoRA."""
    found = False
    for name, module in adapter.named_modules():
        if not isinstance(module, BaseTunerLayer):
            continue
        known = getattr(module, "lora_B", None)
        if not known or len(module.active_adapters) != 1 or getattr(module, "lora_variant", None):
            raise NotMeasurable(
                f"'{name}' is a {type(module).__name__} that is not of plain LoRA: noise on it is not normal in the "
                "weights, with a support that is known"
            )
        found = True
        yield f"{name}.lora_B.{module.active_adapters[0]}.weight", name, module
    if not found:
        raise NotMeasurable("the model has no LoRA on it, whose A could be frozen")


def _factors(layer: LoraLayer) -> tuple[float, Tensor, Tensor]:
    """The scale of a layer's adapter, its A and its B."""
    if layer.fan_in_fan_out:
        raise NotMeasurable("a weight that is kept the other way round: noise is put on its adapter alive, not on it")
    (name,) = layer.active_adapters
    right, left = layer.lora_A[name].weight.detach(), layer.lora_B[name].weight.detach()
    return float(layer.scaling[name]), exact(right), exact(left)
