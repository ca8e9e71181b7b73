"""Adapters from which a way back is not there, or does not end at the base, and why."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from holdfast.core.errors import NotMeasurable
from holdfast.weights.moving import MOVING

NO_WAY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "XLORA": "an xlora adapter mixes other adapters: rewind those",
        "POLY": "a poly adapter needs a task id in every forward pass, and cannot be asked what a path asks it",
        "SHADOW": "a shadow adapter is a second model beside the base, and is no change of it",
    }
)
"""Tuners along which no model can be led, and why."""

OFF_BASE: Final[Mapping[str, str | None]] = MappingProxyType(
    {"C3A": None, "FOURIERFT": None, "UNILORA": None, "VBLORA": None, "DEFT": "para", "HRA": "apply_GS"}
)
"""Tuners that change the model as soon as they are on it, all or with this option: measured, in float32.

The distance is also measured whenever a path is made, but some are smaller than what half precision rounds.
"""


def tuner_of(config: Mapping[str, Any]) -> str:
    """The name of the tuner, in the capitals that peft gives it."""
    return str(config.get("peft_type")).upper()


def require_way_back(config: Mapping[str, Any]) -> None:
    """Refuse tuners of which no path is known.

    Raises:
        NotMeasurable: With the reason.
    """
    tuner = tuner_of(config)
    if tuner in NO_WAY:
        raise NotMeasurable(NO_WAY[tuner])
    if "num_virtual_tokens" in config:
        raise NotMeasurable(
            f"a {tuner.lower()} adapter adds virtual tokens, and a fresh one already changes what the model says: "
            "no way leads back to the base"
        )


def require_base_intact(config: Mapping[str, Any]) -> None:
    """Refuse adapters whose tensors hold part of the base: without them the base is not what it was.

    Raises:
        NotMeasurable: With the reason.
    """
    begun = config.get("init_lora_weights")
    if config.get("kasa_config"):
        raise NotMeasurable("a kasa adapter cuts the base whenever it is loaded; the dense line starts at the base")
    if isinstance(begun, str) and begun.lower().startswith(MOVING):
        raise NotMeasurable(
            f"an adapter that began as '{begun}' holds part of the base, which peft takes out of the base whenever it "
            "is loaded; the dense line starts at the base, and so does the additive path of the adapter when it is "
            "saved with path_initial_model_for_weight_conversion"
        )


def require_fresh_base(config: Mapping[str, Any]) -> None:
    """Refuse tuners whose own path does not start at the base, however small the distance.

    Raises:
        NotMeasurable: With the reason.
    """
    tuner = tuner_of(config)
    option = OFF_BASE.get(tuner)
    if tuner in OFF_BASE and (option is None or config.get(option)):
        kind = tuner.lower() if option is None else f"{tuner.lower()} ({option})"
        raise NotMeasurable(off_base("own", kind) + "; another path may be there")


def off_base(label: str, kind: str) -> str:
    """The sentence for a path that does not start at the base."""
    return f"the path '{label}' does not start at the base: a fresh {kind} adapter already changes what the model says"
