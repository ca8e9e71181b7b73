"""Whether a path begins at the base and ends at the checkpoint: asked of logits, with no more than 16 tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.core.errors import NotMeasurable
from holdfast.weights.bare import given_back
from holdfast.weights.paths.adapter import AdapterPath
from holdfast.weights.paths.refusals import off_base

NEAR = 2e-5
"""How far from the base a path may start: logits, as a share of the largest, in float32."""


def require_base_at_start(path: AdapterPath, base: PreTrainedModel, tuner: str) -> None:
    """Refuse a path whose point at 0 does not answer as the bare base.

    Raises:
        NotMeasurable: With the distance.
    """
    with given_back(base):
        wanted = answers(base.eval())
    with path.walk(base) as bring:
        found = answers(bring(0))
    distance = float((found - wanted).abs().max() / wanted.abs().max())
    if distance > _allowed(base):
        raise NotMeasurable(
            f"{off_base(path.label, tuner.lower())}, logits by {distance:.2g} of the largest; another path may be there"
        )


def answers(model: nn.Module) -> Tensor:
    """Logits of a model for a few tokens from all over its vocabulary."""
    embedding = model.get_input_embeddings().weight  # type: ignore[operator]
    tokens = torch.linspace(0, embedding.shape[0] - 1, 16, device=embedding.device).long()[None]
    with torch.inference_mode():
        logits: Tensor = model(input_ids=tokens).logits.float()
    return logits


def _allowed(base: PreTrainedModel) -> float:
    # Half precision rounds at every layer what a path puts in and takes out again.
    return max(NEAR, 8 * torch.finfo(base.dtype).eps) if base.dtype.itemsize < 4 else NEAR
