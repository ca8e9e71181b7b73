"""Second moments of what some layers read, over batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from holdfast.algebra.layer_inputs import SecondMoment
from holdfast.methods.listening import Text
from holdfast.weights.evaluating import evaluating
from holdfast.weights.material import Batch


def second_moments(
    model: nn.Module, layers: Mapping[str, nn.Module], batches: Iterable[Batch]
) -> dict[str, Float[Tensor, "inputs inputs"]]:
    """Mean of ``h h^T`` over the tokens that each layer reads, padding left out, in float64.

    Memory: one such matrix a layer. Time: a forward pass of every batch, without dropout. A layer that reads nothing,
    such as an expert that no token is sent to, is left out of the answer.

    Args:
        model: What the batches are given to.
        layers: Parts of it whose first input is taken.
        batches: The batches.

    Raises:
        NotMeasurable: If an input is not finite.
    """
    found: dict[str, SecondMoment] = {}
    text = Text()

    def hearer(name: str) -> Any:
        def hear(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            moment = SecondMoment.of(text.rows(args[0]), name)
            found[name] = found[name] + moment if name in found else moment

        return hear

    with ExitStack() as hooks, evaluating(model), torch.no_grad():
        hooks.callback(text.follow(model).remove)
        for name, layer in layers.items():
            hooks.callback(layer.register_forward_pre_hook(hearer(name)).remove)
        for batch in batches:
            model(**{key: tensor for key, tensor in batch.items() if key != "labels"}, use_cache=False)
    return {name: moment.total / moment.count for name, moment in found.items() if moment.count}
