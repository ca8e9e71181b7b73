"""A long vector in a few numbers that keep its inner products with others, as far as chance allows."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.uniform import Uniform

_SIGNS, _PLACES = 1, 2


def count_sketch(values: Tensor, width: int, key: str) -> Float[Tensor, " width"]:
    """A count-sketch (Charikar et al. 2002): each entry is added, with a sign at random, to a number at random.

    Places and signs are a function of the key and the entry's position alone, so that sketches of tensors of one
    shape under one key can be compared, whoever made them. The inner product of two sketches is on average that of
    the vectors; the cosine is off by about ``1 / sqrt(width)``. A tensor with no more entries than ``width`` is kept
    as it is. Sums are in float64, the result in float32.

    Args:
        values: The tensor.
        width: How many numbers are kept.
        key: Such as the tensor's name.

    Raises:
        ValueError: If the width is not above 0.
    """
    if width < 1:
        raise ValueError(f"a sketch keeps at least one number, and {width} were asked for")
    flat = values.detach().reshape(-1)
    if flat.numel() <= width:
        return flat.to(torch.float32, copy=True)
    shape = {key: tuple(flat.shape)}
    signs = Uniform(shape, _SIGNS, {}, flat.device)[key].sub_(0.5).sign_()
    # 0.5 itself comes up once in 2^24 draws and has no sign: it counts as positive.
    signs.masked_fill_(signs == 0, 1.0)
    places = Uniform(shape, _PLACES, {}, flat.device)[key].mul_(width).long().clamp_(max=width - 1)
    sums = torch.zeros(width, dtype=torch.float64, device=flat.device)
    return sums.index_add_(0, places, flat.double() * signs.double()).float()
