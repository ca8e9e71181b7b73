"""Adapters that begin by moving the base: which do so whenever they are loaded, and which cannot be read.

Some ways to begin a LoRA put part of each weight into the adapter and take it out of the base; peft does so again
whenever it loads such an adapter, and never puts it back. Where the part follows from the base alone, a loaded adapter
is the trained one, and its change is against the base as it was. Where the part was drawn at random, or found from
data, a folder of the adapter alone does not say from which weights it was trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from holdfast.core.errors import DamagedCheckpoint, IncompatibleUpdate

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

MOVING: Final = ("pissa", "olora")
"""Ways to begin a LoRA that take out of the base what follows from the base alone."""

CONVERT: Final = (
    "save it from training with path_initial_model_for_weight_conversion, which makes it plain LoRA on the base as it "
    "was"
)

LOST: Final = {
    "pissa_niter": ("what a random sketch finds in each weight, drawn anew whenever it is loaded", CONVERT),
    "corda": ("directions found from data, which the folder does not hold", CONVERT),
    "lora_ga": ("directions found from gradients, which the folder does not hold", CONVERT),
    "loftq": (
        "what its quantisation loses, and the quantised weights are not in the folder",
        "save them as a model, set init_lora_weights to true in the adapter's configuration, and give that model as "
        "the base",
    ),
}
"""Ways to begin a LoRA that take out of the base what cannot be found again: what it is, and what to do."""


def configuration(folder: Path) -> dict[str, Any]:
    """The configuration of an adapter, as it is in its folder; empty where it is JSON, but no table.

    Raises:
        DamagedCheckpoint: If it cannot be read.
    """
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedCheckpoint(f"{folder / CONFIG} is not an adapter configuration: {error}") from error
    return found if isinstance(found, dict) else {}


def require_start(folder: Path) -> None:
    """Refuse an adapter that took out of its base what its folder does not tell.

    Raises:
        DamagedCheckpoint: If its configuration cannot be read.
        IncompatibleUpdate: If it is such an adapter.
    """
    begun = _begun(configuration(folder))
    for start, (taken, remedy) in LOST.items():
        if begun.startswith(start):
            raise IncompatibleUpdate(
                f"the adapter in {folder} began as '{begun}' and fits a base that is not kept: it took out of the "
                f"base {taken}; {remedy}"
            )


def moves_base(told: Mapping[str, Any]) -> bool:
    """Whether loading an adapter of this configuration moves the matrices of its base."""
    # KaSA drops the smallest singular directions of each weight, under any way to begin.
    return _begun(told).startswith(MOVING) or bool(told.get("kasa_config"))


def _begun(told: Mapping[str, Any]) -> str:
    """How a LoRA begins, by peft's name of it; nothing for the usual ways, and for other tuners."""
    begun = told.get("init_lora_weights")
    return begun.lower() if isinstance(begun, str) and told.get("peft_type") == "LORA" else ""
