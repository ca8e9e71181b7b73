"""What is known of an adapter's tensors before training.

peft starts many tensors always alike: at 0, at 1, at what follows from the base. Which those are is not listed but
found: the adapter is put on the base afresh under two seeds, and what comes out the same both times is known. The
rest was drawn at random, and only who kept it can say what it was.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftType, get_peft_model, get_peft_model_state_dict
from torch import Tensor, nn

from holdfast.core.errors import IncompatibleUpdate
from holdfast.weights.bare import PREFIX, base_name, given_back
from holdfast.weights.moving import configuration
from holdfast.weights.paths.adapter import stored_tensors
from holdfast.weights.paths.refusals import require_base_intact, tuner_of
from holdfast.weights.quiet import quiet


@dataclass(frozen=True)
class Start:
    """What is known of one stored tensor before training.

    Attributes:
        trained: Whether training moved it at all.
        value: What it was; ``None`` where it was drawn at random and not kept.
        live: Its name in the running model, where it is trained.
    """

    trained: bool
    value: Tensor | None
    live: str | None = None


def starts_of(folder: Path, base: nn.Module) -> dict[str, Start]:
    """What is known of each tensor of an adapter folder before training; the base is left as it was.

    Cost: two fresh adapters on the base, one after the other.

    Raises:
        DamagedCheckpoint: If the adapter's files are missing or cut off.
        NotMeasurable: If nothing can be known, because the adapter holds part of the base.
    """
    require_base_intact(configuration(folder))
    config = PeftConfig.from_pretrained(str(folder))
    config.inference_mode, config.base_model_name_or_path = False, None
    if config.peft_type == PeftType.ADALORA:
        config.rank_pattern = None  # what training left of the ranks; a fresh adapter has them all
    (one, live), (other, _) = _fresh(base, config, 0), _fresh(base, config, 1)
    weights = dict(base.named_parameters())
    found: dict[str, Start] = {}
    for name, final in stored_tensors(folder).items():
        if name in one:
            known = one[name].shape == final.shape and torch.equal(one[name], other[name])
            found[name] = Start(name in live, one[name] if known else None, live.get(name))
        else:
            # A tensor of the base itself, such as the embedding that peft saves beside an adapter of it.
            own = weights.get(base_name(name))
            value = None if own is None else own.detach().cpu()
            found[name] = Start(value is None or not torch.equal(value.to(final.dtype), final), value)
    return found


def _fresh(base: nn.Module, config: PeftConfig, seed: int) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a fresh adapter by stored name, and the names in the model of those that train."""
    with torch.random.fork_rng(), given_back(base), quiet():
        torch.manual_seed(seed)
        attached = get_peft_model(base, copy.deepcopy(config))
        stored = get_peft_model_state_dict(attached, save_embedding_layers=False)
        trains = {
            tensor.data_ptr(): name
            for name, tensor in attached.named_parameters()
            if tensor.requires_grad and tensor.numel()
        }
        live = {name: trains[tensor.data_ptr()] for name, tensor in stored.items() if tensor.data_ptr() in trains}
        return {name: tensor.detach().cpu().clone() for name, tensor in stored.items()}, live


def with_kept(starts: Mapping[str, Start], initial: Mapping[str, Tensor], folder: Path) -> dict[str, Start]:
    """What is known, together with initial values that somebody kept; those count before what is known.

    Args:
        starts: What is known of the tensors of an adapter.
        initial: Initial values by stored or live names; tensors that are not there are no fault.
        folder: The adapter.

    Raises:
        DamagedCheckpoint: If the adapter's files are missing or cut off.
        IncompatibleUpdate: If an initial value is not of the shape of its tensor.
    """
    config, final, found = configuration(folder), stored_tensors(folder), dict(starts)
    for name, start in starts.items():
        value = next((initial[key] for key in (name, start.live) if key is not None and key in initial), None)
        if value is None:
            continue
        value = _survivors(name, value.detach().cpu(), config)
        if value.shape != final[name].shape:
            raise IncompatibleUpdate(
                f"'{name}' has shape {tuple(value.shape)} among the initial tensors and {tuple(final[name].shape)} in "
                f"{folder}; were they kept from another training?"
            )
        found[name] = replace(start, value=value)
    return found


def _survivors(name: str, value: Tensor, config: Mapping[str, Any]) -> Tensor:
    """The part of an initial tensor that AdaLoRA did not prune; what it pruned is 0 at both ends of its way."""
    layer, _, part = name.removeprefix(PREFIX).rpartition(".")
    if tuner_of(config) != "ADALORA" or part not in {"lora_A", "lora_B", "lora_E"}:
        return value
    ranks = {key.removesuffix(".default"): kept for key, kept in (config.get("rank_pattern") or {}).items()}
    kept = torch.tensor(ranks.get(f"{layer}.lora_E", []), dtype=torch.bool)
    across = int(part == "lora_B")
    if len(kept) != value.shape[across]:
        return value
    return value[:, kept] if across else value[kept]
