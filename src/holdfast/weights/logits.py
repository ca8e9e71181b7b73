"""What a model says to a few fixed rows of tokens: how two models are seen to be the same, or how far apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from holdfast.core.task import Example
from holdfast.weights.evaluating import evaluating

ROWS = 4
TOKENS = 128

Inputs = tuple[Tensor, ...]


def fixed_inputs(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], device: torch.device) -> Inputs:
    """A few rows of tokens, the same for every measurement of a run."""
    texts = [(e.prompt if isinstance(e.prompt, str) else "") + e.answer for e in examples[:ROWS]]
    rows = (tokenizer(text, return_tensors="pt", verbose=False)["input_ids"] for text in texts)
    return tuple(row[:, :TOKENS].to(device) for row in rows)


@torch.inference_mode()
def logits_on(model: nn.Module, inputs: Inputs) -> tuple[Tensor, ...]:
    """Logits of each row; virtual tokens in front of it are left out."""
    with evaluating(model):
        return tuple(model(input_ids=row).logits[0, -row.shape[1] :].float() for row in inputs)


def distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    """Largest absolute difference of two sets of logits."""
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))
