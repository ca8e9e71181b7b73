"""In which factor the change that a tuner makes is linear: scaling that factor alone scales the change.

One row for each tuner of peft that has such a factor. That the rows are true is tested on every one of them: the
change at t is t times the change at 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from holdfast.core.errors import NotMeasurable
from holdfast.weights.paths.refusals import tuner_of


@dataclass(frozen=True)
class Factors:
    """How the tensors of a tuner enter the change.

    What is trained and is in neither list goes straight from its initial value: vectors that multiply and start at 1,
    magnitudes, biases, copies of whole modules.

    Attributes:
        scaled: Tensors in which the change is linear, and which make none at 0; initial values do not matter.
        held: Tensors that multiply them and stay as they ended.
    """

    scaled: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


LINEAR: Final[Mapping[str, Factors]] = MappingProxyType(
    {
        "LORA": Factors(("lora_B", "lora_embedding_B"), ("lora_A", "lora_embedding_A")),
        "ADALORA": Factors(("lora_E",), ("lora_A", "lora_B")),
        "ADAPTION_PROMPT": Factors(("adaption_gate",), ("adaption_prompt",)),
        "BEFT": Factors(("beft_bias",)),
        "C3A": Factors(("c3a_kernel",)),
        "DELORA": Factors(("delora_lambda",), ("delora_A", "delora_B")),
        "FOURIERFT": Factors(("fourierft_spectrum",)),
        "FROD": Factors(),
        "GLORA": Factors(
            ("glora_A.Xd", "glora_B.Xd", "glora_C.Xd"),
            ("glora_A.Xu", "glora_B.Xu", "glora_C.Xu"),
        ),
        "GRALORA": Factors(("gralora_B", "gralora_B_general"), ("gralora_A", "gralora_A_general")),
        "HIRA": Factors(("hira_B", "hira_embedding_B"), ("hira_A", "hira_embedding_A")),
        "IA3": Factors(),
        "LILY": Factors(("lily_B",), ("lily_A", "lily_router")),
        "LN_TUNING": Factors(),
        "LOHA": Factors(("hada_w2_b",), ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_t1", "hada_t2")),
        "LOKR": Factors(
            ("lokr_w1", "lokr_w1_a"),
            ("lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"),
        ),
        "MISS": Factors(("miss_block",)),
        "PEANUT": Factors(("peanut_B",), ("peanut_A", "peanut_encoders", "peanut_decoders")),
        "PVERA": Factors(("pvera_lambda_b",), ("pvera_lambda_d",)),
        "RANDLORA": Factors(("randlora_lambda",), ("randlora_gamma",)),
        "SHIRA": Factors(("shira_weight",)),
        "SUPERTUNING": Factors(("supertuning_values",)),
        "TINYLORA": Factors(("tinylora_v",)),
        "TRAINABLE_TOKENS": Factors(),
        "VERA": Factors(("vera_lambda_b",), ("vera_lambda_d",)),
        "WAVEFT": Factors(("waveft_spectrum",)),
    }
)


def factors_of(config: Mapping[str, Any]) -> Factors:
    """The factors of an adapter, from its configuration.

    Raises:
        NotMeasurable: If the change is linear in none of its tensors.
    """
    tuner = tuner_of(config)
    found = LINEAR.get(tuner)
    if found is None or (tuner == "MISS" and config.get("init_weights") == "bat"):
        raise NotMeasurable(
            f"the change that an adapter of type {tuner.lower()} makes is linear in none of its tensors, so it has no "
            "additive path; another path may be there"
        )
    return found


def named(stored: str, parts: tuple[str, ...]) -> bool:
    """Whether a stored name is that of one of these tensors."""
    return any(f".{part}." in f".{stored}." for part in parts)
