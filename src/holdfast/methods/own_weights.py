"""What is remembered of single scalars from one training to the next needs scalars that are the same in both."""

from __future__ import annotations

from torch import nn

from holdfast.core.errors import HoldfastError


def require_own_weights(model: nn.Module, who: str, what: str) -> None:
    """Refuse an adapter in a sequence of trainings, as each of them begins with a fresh one.

    Args:
        model: The model with the inner method on it.
        who: The method that remembers.
        what: What it remembers of every scalar, for the message.

    Raises:
        HoldfastError: If there is an adapter on the model.
    """
    if hasattr(model, "peft_config"):
        raise HoldfastError(
            f"{who} hands {what} of every scalar on from task to task, and each task of a sequence has a fresh "
            f"adapter, whose scalars are others; put it on the weights themselves: {who}(on='full')"
        )
