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

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.oft import Linear as OFTLinear
from peft.tuners.trainable_tokens import TrainableTokensLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import ModulesToSaveWrapper, TrainableTokensWrapper
from torch import nn

from holdfast.algebra.delta import Delta, Dense, exact
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import Rotation, skew
from holdfast.core.errors import DamagedCheckpoint, IncompatibleUpdate, NotMeasurable
from holdfast.weights.moving import CONFIG, require_start, unmoved, with_moves
from holdfast.weights.quiet import quiet
from holdfast.weights.shards import Shards
from holdfast.weights.update import Update

WEIGHTS = "adapter_model.safetensors"


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
        NotMeasurable: If the tuner does not act by changing weights, such as prompt tuning, or cannot be merged.
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
        elif isinstance(module, TrainableTokensWrapper):
            changes.update(_retrained(name, module.token_adapter, model))
        elif isinstance(module, TrainableTokensLayer):
            changes.update(_retrained(name, module, model))
        elif isinstance(module, BaseTunerLayer):
            changes.update(_tuned(name, module))
        else:
            continue
        inside = (*inside, f"{name}.")
    return Update(changes)


def read_adapter(folder: Path, model: nn.Module, *, allow_pickle: bool = False) -> Update:
    """The update that an adapter folder makes on a base model; the model is left as it was.

    Args:
        folder: The adapter.
        model: The base it was made from.
        allow_pickle: Open weights stored as a pickle.

    Raises:
        DamagedCheckpoint: If the adapter's files are missing, cut off or do not belong together.
        IncompatibleUpdate: If the adapter was not made for a base of this shape, or for one that is not kept.
        UnsafeFile: If its weights are a pickle and ``allow_pickle`` is not set.
        NotMeasurable: If it does not act by changing weights.
    """
    flags = {name: tensor.requires_grad for name, tensor in model.named_parameters()}
    with unmoved(folder, model) as before:
        attached = load_adapter(folder, model, allow_pickle=allow_pickle)
        try:
            found = update_of(attached)
        finally:
            unloaded(attached)
            for name, tensor in model.named_parameters():
                tensor.requires_grad_(flags[name])
        return with_moves(found, model, before)


def load_adapter(folder: Path, model: nn.Module, *, allow_pickle: bool = False) -> PeftModel:
    """The base model with the adapter of a folder on it, ready to run.

    Args:
        folder: The adapter.
        model: The base it was made from; after an error it is left as it was.
        allow_pickle: Open weights stored as a pickle.

    Raises:
        DamagedCheckpoint: If the adapter's files are missing, cut off or do not belong together.
        IncompatibleUpdate: If the adapter was not made for a base of this shape, or for one that is not kept.
        UnsafeFile: If its weights are a pickle and ``allow_pickle`` is not set.
    """
    try:
        PeftConfig.from_pretrained(str(folder))
    except (ValueError, TypeError, KeyError, json.JSONDecodeError) as error:
        raise DamagedCheckpoint(f"{folder / CONFIG} is not an adapter configuration: {error}") from error
    require_start(folder)
    stored = Shards(folder, single=WEIGHTS, allow_pickle=allow_pickle)
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
    base: nn.Module = model.get_base_model()
    if model.active_peft_config.is_prompt_learning:
        return base
    for name, module in list(base.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            # peft would leave the trained copy in the place of the base's own module.
            base.set_submodule(name, module.original_module)
    without: nn.Module = model.unload()
    return without


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
    if layer.tied_adapter is not None:
        return  # the embedding's own weight under another name, which changes with it
    weight = layer.get_base_layer().weight
    names = sum(tensor is weight for _, tensor in model.named_parameters(remove_duplicate=False))
    following = sum(isinstance(one, TrainableTokensLayer) and one.tied_adapter is layer for one in model.modules())
    if names > 1 + following:
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
