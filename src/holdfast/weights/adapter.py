"""The update that a PEFT adapter makes, for any tuner, live or from its folder.

The change of a weight is what merging does to it: the merged copy minus the base, layer by layer, in float32. Where a
tuner's own form is known and a test holds it equal to that difference, the form is kept: low rank for plain LoRA,
a rotation for exact orthogonal fine-tuning. ``get_delta_weight`` is never asked: for many tuners it returns a
rotation or a factor, and not the change of the weight.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.oft import Linear as OFTLinear
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper
from torch import Tensor, nn

from holdfast.algebra.delta import Delta, Dense, exact
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import Rotation, skew
from holdfast.core.errors import DamagedCheckpoint, IncompatibleUpdate, NotMeasurable
from holdfast.weights.quiet import quiet
from holdfast.weights.shards import Shards
from holdfast.weights.update import Update

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

MOVING: Final = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to begin a LoRA that take what it begins with out of the base, each time that peft loads it."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder is an adapter, rather than a full model."""
    return (folder / CONFIG).is_file()


def form_of(folder: Path) -> str:
    """What kind of adapter a folder holds, in words, such as ``lora adapter``.

    Raises:
        DamagedCheckpoint: If its configuration cannot be read.
    """
    try:
        return f"{json.loads((folder / CONFIG).read_text(encoding='utf-8'))['peft_type'].lower()} adapter"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpoint(f"{folder / CONFIG} is not an adapter configuration: {error}") from error


def update_of(model: PeftModel) -> Update:
    """The update that the active adapter of a live PEFT model makes; the model is left as it was.

    Raises:
        NotMeasurable: If the tuner does not act by changing weights, such as prompt tuning.
    """
    if model.active_peft_config.is_prompt_learning:
        raise NotMeasurable(f"{_tuner(model)} adds virtual tokens and changes no weight")
    changes: dict[str, Delta] = {}
    inside: tuple[str, ...] = ()
    for name, module in model.get_base_model().named_modules():
        if inside and name.startswith(inside):
            continue
        if isinstance(module, ModulesToSaveWrapper):
            changes.update(_replaced(name, module))
        elif isinstance(module, BaseTunerLayer):
            changes.update(_tuned(name, module))
        else:
            continue
        inside = (*inside, f"{name}.")
    return Update(changes)


def read_adapter(folder: Path, model: nn.Module) -> Update:
    """The update that an adapter folder makes on a base model; the model is left as it was.

    Raises:
        DamagedCheckpoint: If the adapter's files are missing, cut off or do not belong together.
        IncompatibleUpdate: If the adapter was not made for a base of this shape.
    """
    flags = {name: tensor.requires_grad for name, tensor in model.named_parameters()}
    with unmoved(folder, model) as before:
        attached = load_adapter(folder, model)
        try:
            found = update_of(attached)
        finally:
            unloaded(attached)
            for name, tensor in model.named_parameters():
                tensor.requires_grad_(flags[name])
        weights = dict(model.named_parameters())
        return Update({name: _with_move(change, weights.get(name), before.get(name)) for name, change in found.items()})


@contextmanager
def unmoved(folder: Path, model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """The matrices that loading an adapter may move, as they were; on leaving, they are so again, bit for bit.

    peft takes the leading directions out of the base whenever it loads a PiSSA adapter that was not converted on
    save, and does not put them back. Cost: a copy of the matrices of the model for such adapters, nothing for others.
    """
    begun = _configured(folder).get("init_lora_weights")
    moving = isinstance(begun, str) and begun.lower().startswith(MOVING)
    weights = dict(model.named_parameters()) if moving else {}
    kept = {name: tensor.detach().clone() for name, tensor in weights.items() if tensor.dim() == 2}
    try:
        yield kept
    finally:
        with torch.no_grad():
            for name, tensor in kept.items():
                weights[name].copy_(tensor)


def _with_move(change: Delta, now: Tensor | None, before: Tensor | None) -> Delta:
    """The change against the base as it was, where loading has moved it."""
    if now is None or before is None or torch.equal(now, before):
        return change
    return Dense(change.dense() + exact(now.detach()) - exact(before))


def _configured(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedCheckpoint(f"{folder / CONFIG} is not an adapter configuration: {error}") from error
    return found if isinstance(found, dict) else {}


def load_adapter(folder: Path, model: nn.Module) -> PeftModel:
    """The base model with the adapter of a folder on it, ready to run.

    Raises:
        DamagedCheckpoint: If the adapter's files are missing, cut off or do not belong together.
        IncompatibleUpdate: If the adapter was not made for a base of this shape. The model is left as it was.
    """
    try:
        PeftConfig.from_pretrained(str(folder))
    except (ValueError, TypeError, KeyError, json.JSONDecodeError) as error:
        raise DamagedCheckpoint(f"{folder / CONFIG} is not an adapter configuration: {error}") from error
    stored = Shards(folder, single=WEIGHTS)
    if not len(stored):
        raise DamagedCheckpoint(f"{folder / WEIGHTS} holds no tensors")
    with whole_on_error(model):
        try:
            with quiet():
                attached = PeftModel.from_pretrained(model, str(folder))
        except (KeyError, TypeError) as error:
            raise DamagedCheckpoint(f"{folder / CONFIG} is not an adapter configuration: {error}") from error
        except (ValueError, RuntimeError) as error:
            raise IncompatibleUpdate(f"the adapter in {folder} does not fit this base model: {error}") from error
        _check_complete(folder, stored, attached)
    return attached


@contextmanager
def whole_on_error(model: nn.Module) -> Iterator[None]:
    """Take out again what peft has put into a model by the time it finds that an adapter does not fit."""
    children = {module: dict(module._modules) for module in model.modules()}
    flags = [(tensor, tensor.requires_grad) for tensor in model.parameters()]
    try:
        yield
    except BaseException:
        for module, kept in children.items():
            module._modules.clear()
            module._modules.update(kept)
        for tensor, flag in flags:
            tensor.requires_grad_(flag)
        vars(model).pop("peft_config", None)
        raise


def _check_complete(folder: Path, stored: Shards, attached: PeftModel) -> None:
    """Refuse what peft loads without a word: adapters with tensors missing, or with tensors for other layers."""
    with quiet():
        expected = get_peft_model_state_dict(attached, save_embedding_layers=False)
    held = {expected[name].data_ptr() for name in stored if name in expected}
    lost = sorted(name for name, tensor in expected.items() if name not in stored and tensor.data_ptr() not in held)
    if lost:
        raise DamagedCheckpoint(f"{folder / WEIGHTS} lacks '{lost[0]}' ({len(lost)} in all), which {CONFIG} asks for")
    everything = attached.state_dict()
    odd = sorted(name for name in stored if name not in expected and name not in everything)
    if odd:
        raise IncompatibleUpdate(
            f"the adapter in {folder} holds '{odd[0]}' ({len(odd)} in all), for which this base model has no place"
        )


def unloaded(model: PeftModel) -> nn.Module:
    """The base without the adapter. Prompt learning never touched it, and has nothing to unload."""
    base: nn.Module = model.get_base_model() if model.active_peft_config.is_prompt_learning else model.unload()
    return base


def _tuned(name: str, layer: BaseTunerLayer) -> Iterator[tuple[str, Delta]]:
    adapters = layer.active_adapters
    if len(adapters) != 1:
        raise NotMeasurable(f"'{name}' has {len(adapters)} active adapters; the update of one is asked for")
    known = _low_rank(layer, adapters[0]) or _rotation(layer, adapters[0])
    if known is not None:
        yield f"{name}.weight", known
        return
    before = {key: exact(tensor) for key, tensor in layer.get_base_layer().named_parameters()}
    merged = copy.deepcopy(layer).to(next(iter(before.values())).dtype)
    try:
        merged.merge(adapter_names=adapters)
    except (NotImplementedError, ValueError, AttributeError) as error:
        raise NotMeasurable(f"{type(layer).__module__} layers cannot be merged into weights: {error}") from error
    for key, tensor in merged.get_base_layer().named_parameters():
        change = exact(tensor.detach()) - before[key]
        if bool(change.any()):
            yield f"{name}.{key}", Dense(change)


def _replaced(name: str, wrapper: ModulesToSaveWrapper) -> Iterator[tuple[str, Delta]]:
    before = dict(wrapper.original_module.named_parameters())
    for key, tensor in wrapper.modules_to_save[wrapper.active_adapters[0]].named_parameters():
        yield f"{name}.{key}", Dense(exact(tensor.detach()) - exact(before[key].detach()))


def _low_rank(layer: BaseTunerLayer, adapter: str) -> LowRank | None:
    # Variants of LoRA (DoRA and others) change the weight in ways that the two factors do not tell.
    if type(layer) is not LoraLinear or layer.lora_variant or layer.lora_bias[adapter] or layer.fan_in_fan_out:
        return None
    left, right = layer.lora_B[adapter].weight.detach(), layer.lora_A[adapter].weight.detach()
    return LowRank(layer.scaling[adapter] * exact(left), right.clone())


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


def trainable_tensors(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training would move, by name."""
    return {name: tensor for name, tensor in model.named_parameters() if tensor.requires_grad}


def count(model: nn.Module) -> int:
    """How many scalars training would move; tied tensors once."""
    return sum(tensor.numel() for tensor in trainable_tensors(model).values())


def load_tensors(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors over the parameters of the same names."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in tensors.items():
            parameters[name].copy_(tensor)
