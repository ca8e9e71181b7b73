"""Opening the model that is to be fine-tuned: a folder, a hub id, or the built-in miniature."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub import constants as hub
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from holdfast.core.errors import DamagedCheckpoint, ModelNotFound, UnsafeFile
from holdfast.models.identity import identity_of
from holdfast.weights.adapter import is_adapter
from holdfast.weights.quiet import quiet
from holdfast.weights.shards import Shards

MINIATURE = "miniature"
FAULTS = (OSError, ValueError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError)
"""What transformers raises for files that are missing, damaged, or do not belong together."""

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "spiece.model")


@dataclass(frozen=True)
class Base:
    """A base model, ready to be fine-tuned or measured.

    Attributes:
        name: What the user called it.
        model: The model, in evaluation mode, on its device.
        tokenizer: Its tokenizer; padding token set.
        identity: Name of its weights; equal weights, equal identity.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    identity: str


def located(name: str) -> str:
    """What transformers is to open: the miniature's folder for its name, everything else as it was given."""
    return str(Path(__file__).parent / MINIATURE) if name == MINIATURE else name


def stamp(name: str) -> str:
    """What tells cheaply whether a folder's files were touched: their names, sizes and times; empty for a hub id."""
    where = Path(located(name))
    files = sorted(where.glob("*.safetensors")) if where.is_dir() else []
    return " ".join(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)


def device_of_choice() -> torch.device:
    """The first CUDA device, or Apple's, or the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def dtype_of_choice(dtype: str, device: torch.device) -> torch.dtype:
    """The named type; ``auto`` is bfloat16 on CUDA devices and float32 elsewhere."""
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[dtype]


def open_base(
    name: str,
    *,
    dtype: str = "auto",
    device: torch.device | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
) -> Base:
    """Open a base model and its tokenizer.

    Args:
        name: A Hugging Face folder, a hub id, or ``miniature``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        device: Where to put it; the device of choice where not given.
        trust_remote_code: Run code that comes with the model.
        allow_pickle: Open weights stored as pickles, which can run code.

    Raises:
        ModelNotFound: If there is no such folder, and the hub has no such model or cannot be reached.
        DamagedCheckpoint: If files are missing or cut off.
        UnsafeFile: If it would take a pickle or the model's own code to open it.
    """
    where = located(name)
    device = device or device_of_choice()
    if Path(where).is_dir():
        check_folder(Path(where), allow_pickle=allow_pickle)
    tokenizer = _opened(lambda: AutoTokenizer.from_pretrained(where, trust_remote_code=trust_remote_code), name)
    model, found = _opened(
        lambda: AutoModelForCausalLM.from_pretrained(
            where,
            dtype=dtype_of_choice(dtype, device),
            trust_remote_code=trust_remote_code,
            use_safetensors=None if allow_pickle else True,
            ignore_mismatched_sizes=True,  # seen to below, with the name of the tensor
            output_loading_info=True,
        ),
        name,
    )
    _check_complete(name, found)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.to(device).eval()
    return Base(name=name, model=model, tokenizer=tokenizer, identity=identity_of(model))


def skeleton(name: str, *, trust_remote_code: bool = False) -> PreTrainedModel:
    """The architecture of a model without its values: costs no memory, and is enough to count parameters."""
    where = located(name)
    config = _opened(lambda: AutoConfig.from_pretrained(where, trust_remote_code=trust_remote_code), name)
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    model.tie_weights()
    return model


def check_folder(folder: Path, *, allow_pickle: bool = False) -> None:
    """Look at the files of a model folder before anything is loaded.

    Raises:
        DamagedCheckpoint: If there is no configuration, no tokenizer, or a weights file is missing or cut off.
        ModelNotFound: If the folder is an adapter.
        UnsafeFile: If the weights are pickles and ``allow_pickle`` is not set.
    """
    if is_adapter(folder):
        raise ModelNotFound(f"{folder} is an adapter, not a base model; give the base and the adapter separately")
    if not (folder / "config.json").is_file():
        raise DamagedCheckpoint(f"{folder} has no config.json: is it a Hugging Face model folder?")
    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DamagedCheckpoint(f"{folder / 'config.json'} is not JSON: {error}") from error
    if not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise DamagedCheckpoint(
            f"{folder} has no tokenizer ({', '.join(TOKENIZER_FILES[:2])}, ...); "
            "copy the tokenizer of the model it was trained from into the folder"
        )
    try:
        Shards(folder)
    except UnsafeFile:
        if not allow_pickle:
            raise


def _check_complete(name: str, found: dict[str, Any]) -> None:
    """Refuse what transformers fills with random numbers: tensors that are missing, or shaped otherwise."""
    lost = sorted(found["missing_keys"])
    if lost:
        raise DamagedCheckpoint(
            f"'{name}' lacks '{lost[0]}' ({len(lost)} in all), which its config.json asks for; "
            "copy or download it again"
        )
    odd = sorted(found["mismatched_keys"])
    if odd:
        tensor, stored, wanted = odd[0]
        raise DamagedCheckpoint(
            f"'{name}' holds '{tensor}' in shape {tuple(stored)}, and its config.json asks for {tuple(wanted)}; "
            "do the two belong together?"
        )


Opened = TypeVar("Opened")


def _opened(opening: Callable[[], Opened], name: str) -> Opened:
    try:
        with quiet():
            return opening()
    except FAULTS as error:
        text = str(error) or type(error).__name__
        if "trust_remote_code" in text or "custom code" in text:
            raise UnsafeFile(
                f"'{name}' needs code of its own to be opened; read that code, then pass --trust_remote_code"
            ) from error
        if Path(name).exists() or name == MINIATURE:
            raise DamagedCheckpoint(f"'{name}' cannot be opened: {text}") from error
        if not isinstance(error, OSError | ValueError):
            raise
        if hub.is_offline_mode():
            raise ModelNotFound(
                f"'{name}' is no folder here and is not in the local cache, and the hub is switched off by "
                "HF_HUB_OFFLINE; give a model folder, 'miniature', or go online"
            ) from error
        raise ModelNotFound(
            f"'{name}' is no folder here, and the hub did not give it: {text.splitlines()[0]}; "
            "give a model folder, a hub id you have access to, or 'miniature'"
        ) from error
