"""Block sizes that divide the inputs of every layer, for methods that cut inputs into blocks."""

from __future__ import annotations

import math

from torch import nn

from holdfast.core.errors import RecipeError
from holdfast.methods.adapter import linears


def block_sizes(model: nn.Module) -> tuple[int, ...]:
    """Block sizes above 1 that divide the input width of every linear layer, ascending."""
    common = math.gcd(*(linear.in_features for _, linear in linears(model)))
    return tuple(size for size in range(2, common + 1) if common % size == 0)


def check_block_size(method: str, asked: int, model: nn.Module) -> None:
    """Refuse a block size that peft would replace by another without a word.

    Raises:
        RecipeError: If the size does not divide the inputs of every layer; names the sizes that do.
    """
    legal = block_sizes(model)
    if asked not in legal:
        sizes = ", ".join(map(str, legal)) or "none"
        raise RecipeError(
            [f"{method}: block_size={asked} does not divide the inputs of every layer; possible: {sizes}"]
        )
