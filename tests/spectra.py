"""Weights made to have the singular values a test asks for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from twins import normal

from holdfast.algebra.spectrum import Spectrum


def orthonormal(width: int, count: int, seed: int = 0) -> Tensor:
    """Random orthonormal columns."""
    return torch.linalg.qr(normal(width, count, seed=seed)).Q


def spectrum_with(values: Sequence[float], outputs: int, inputs: int, seed: int = 0) -> Spectrum:
    """A spectrum of given values, in random directions."""
    count = len(values)
    left, right = orthonormal(outputs, count, seed), orthonormal(inputs, count, seed + 1)
    return Spectrum(left, torch.tensor(values, dtype=torch.float64), right)


def weight_of(spectrum: Spectrum) -> Tensor:
    """The weight that a spectrum is of."""
    return (spectrum.left * spectrum.values) @ spectrum.right.mT


def weight_with(values: Sequence[float], outputs: int, inputs: int, seed: int = 0) -> Tensor:
    """A weight of given singular values, in random directions."""
    return weight_of(spectrum_with(values, outputs, inputs, seed))
