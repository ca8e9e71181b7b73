"""The update that an adapter makes while it is on its base, for any tuner.

The change of a weight is what merging does to it: the merged copy minus the base, layer by layer, in float32. Where a
tuner's own form is known and a test holds it equal to that difference, the form is kept: low rank for plain LoRA,
a rotation for exact orthogonal fine-tuning. ``get_delta_weight`` is never asked: for many tuners it returns a
rotation or a factor, and not the change of the weight.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from peft import PeftModel
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.oft import Linear as OFTLinear
from peft.tuners.trainable_tokens import TrainableTokensLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper, TrainableTokensWrapper
from torch import nn

from holdfast.algebra.delta import Delta, Dense, exact
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import Rotation, skew
from holdfast.core.errors import NotMeasurable
from holdfast.weights.bare import tied
from holdfast.weights.update import Update

ROUNDING_FRAC = 1e-3
"""How much one change may differ from another that is the same, worked out in another way."""


def update_of(model: PeftModel, written: Update | None = None) -> Update:
    """The update that the active adapter of a live PEFT model makes; the model is left as it was.

    Args:
        model: The base with the adapter on it.
        written: What was written over tensors of the base itself; without it, an adapter that trains some is refused.

    Raises:
        NotMeasurable: If the tuner does not act by changing weights, such as prompt tuning, or cannot be merged, or
            trains biases of the base and nobody says what they were.
    """
    if model.active_peft_config.is_prompt_learning:
        raise NotMeasurable(f"{_tuner(model)} adds virtual tokens and changes no weight")
    base = model.get_base_model()
    if written is None and _trains_biases(model, base):
        raise NotMeasurable(
            f"{_tuner(model)} trains biases of the base itself, and what they were cannot be seen in the model: save "
            "the adapter, and read its folder on the base as it was"
        )
    changes: dict[str, Delta] = {}
    inside: tuple[str, ...] = ()
    for name, module in base.named_modules():
        if inside and name.startswith(inside):
            continue
        if isinstance(module, ModulesToSaveWrapper):
            changes.update(_replaced(name, module))
        elif isinstance(module, TrainableTokensWrapper):
            changes.update(_retrained(name, module.token_adapter, model))
        elif isinstance(module, TrainableTokensLayer):
            changes.update(_retrained(name, module, model))
        elif isinstance(module, BaseTunerLayer):
            changes.update(_tuned(name, module))
        else:
            continue
        inside = (*inside, f"{name}.")
    if not inside:
        raise NotMeasurable(f"{_tuner(model)} acts beside the layers of the base and changes no weight")
    return _as_one(changes, tied(base)).plus(written or Update({}))


def _as_one(changes: dict[str, Delta], groups: list[list[str]]) -> Update:
    """Changes of weights that are one under their first name, where they are alike; told to be apart where not."""
    apart = []
    for first, *others in groups:
        for other in others:
            if _alike(changes.get(first), changes.get(other)):
                changes.pop(other, None)
            else:
                apart.append((first, other))
    return Update(changes, apart)


def _alike(one: Delta | None, other: Delta | None) -> bool:
    """Whether two layers move their one weight in the same way; what is not there does not move."""
    if one is None or other is None:
        return all(change is None or change.norm() == 0 for change in (one, other))
    before, after = one.dense(), other.dense()
    return bool((before - after).norm() <= ROUNDING_FRAC * before.norm())


def _trains_biases(model: PeftModel, base: nn.Module) -> bool:
    trains = getattr(model.active_peft_config, "bias", "none") != "none"
    return trains and any(name.endswith(".bias") for name, _ in base.named_parameters())


def _tuned(name: str, layer: BaseTunerLayer) -> Iterator[tuple[str, Delta]]:
    adapters = layer.active_adapters
    if len(adapters) != 1:
        raise NotMeasurable(f"'{name}' has {len(adapters)} active adapters; the update of one is asked for")
    known = _low_rank(layer, adapters[0]) or _rotation(layer, adapters[0])
    if known is not None:
        yield f"{name}.weight", known
        return
    if _bias_without_place(layer, adapters[0]):
        raise NotMeasurable(f"'{name}' has no bias, and lora_bias adds one to what it answers: no weight can hold that")
    before = {key: exact(tensor) for key, tensor in layer.get_base_layer().named_parameters()}
    merged = copy.deepcopy(layer).to(next(iter(before.values())).dtype)
    try:
        merged.merge(adapter_names=adapters)
    except (NotImplementedError, ValueError) as error:
        raise NotMeasurable(f"{type(layer).__module__} layers cannot be merged into weights: {error}") from error
    for key, tensor in merged.get_base_layer().named_parameters():
        change = exact(tensor.detach()) - before[key]
        if bool(change.any()):
            yield f"{name}.{key}", Dense(change)


def _replaced(name: str, wrapper: ModulesToSaveWrapper) -> Iterator[tuple[str, Delta]]:
    before = dict(wrapper.original_module.named_parameters())
    for key, tensor in wrapper.modules_to_save[wrapper.active_adapters[0]].named_parameters():
        yield f"{name}.{key}", Dense(exact(tensor.detach()) - exact(before[key].detach()))


def _retrained(name: str, layer: TrainableTokensLayer, model: PeftModel) -> Iterator[tuple[str, Delta]]:
    weight = layer.get_base_layer().weight
    names = sum(tensor is weight for _, tensor in model.named_parameters(remove_duplicate=False))
    following = sum(isinstance(one, TrainableTokensLayer) and one.tied_adapter is layer for one in model.modules())
    if layer.tied_adapter is None and names > 1 + following:
        raise NotMeasurable(
            f"'{name}' shares its weight with another layer, which does not read the tokens trained there: no change "
            "of the one weight does what the adapter does"
        )
    if not all(len(layer.token_indices[adapter]) for adapter in layer.active_adapters):
        raise NotMeasurable(f"no token of '{name}' is trained: token_indices is empty, and peft cannot run the model")
    yield from _tuned(name, layer)


def _low_rank(layer: BaseTunerLayer, adapter: str) -> LowRank | None:
    # Variants of LoRA (DoRA and others) change the weight in ways that the two factors do not tell.
    if type(layer) is not LoraLinear or layer.lora_variant or layer.lora_bias[adapter] or layer.fan_in_fan_out:
        return None
    left, right = layer.lora_B[adapter].weight.detach(), layer.lora_A[adapter].weight.detach()
    return LowRank(layer.scaling[adapter] * exact(left), right.clone())


def _bias_without_place(layer: BaseTunerLayer, adapter: str) -> bool:
    adds = isinstance(layer, LoraLinear) and layer.lora_bias[adapter]
    return adds and layer.get_base_layer().bias is None


def _rotation(layer: BaseTunerLayer, adapter: str) -> Rotation | None:
    if not isinstance(layer, OFTLinear) or layer.fan_in_fan_out:
        return None
    module = layer.oft_R[adapter]
    if module.use_cayley_neumann or module.coft or module.block_share:
        return None
    # peft merges W blockdiag(R)^T with R = (I - Q)(I + Q)^-1, whose transpose is the Cayley map of Q itself.
    return Rotation(layer.get_base_layer().weight.detach().clone(), skew(module.weight.detach()))


def _tuner(model: PeftModel) -> str:
    return str(model.active_peft_config.peft_type.value).lower()
