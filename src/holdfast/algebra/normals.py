"""Standard normal numbers of which each depends on its own place alone, made of operations with one right result.

A pair of numbers comes from 64 random bits, those of SplitMix64 (Steele, Lea and Flood 2014) with a key for its state
and another between its multiplications, by the transform of Box and Muller (1958). The logarithm, sine and cosine in it
are polynomials, evaluated by additions, products, one quotient and one root, each an operation of its own: these IEEE
754 rounds in one way only, whereas the functions of C libraries, of vector units and of GPUs differ in their last bits,
and so does anything that fuses a product with a sum. So the bits should be the same on every device; they were held
against each other on processors, with numpy and with torch, and not yet on a GPU.

Portability was chosen over speed. ``torch.randn`` is faster on a processor with vector units, but its numbers depend on
the device, on the order in which they are drawn, and in their last bits on the kind of processor and the release.

The largest number that can be drawn is 6.66; beyond it lie 3 in 10^11 of a normal distribution.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from math import ceil, log
from typing import Any, Final

import numpy
import torch
from jaxtyping import Float
from torch import Tensor

_ROW: Final = 1024
"""Numbers 0 to 1023 are the first ones of 1024 pairs, 1024 to 2047 their second ones, and so on."""

_ROWS_TOGETHER: Final = {"cpu": 32}
"""Rows of pairs that are formed at once: enough for a call to cost little, and few enough for a core's cache."""
_ROWS_ELSEWHERE: Final = 2048

_GAMMA: Final = 0x9E3779B97F4A7C15
_WORD: Final = 1 << 64
_MOST: Final = (1 << 31) - 1
_MANTISSA: Final = 0x7FFFFF
_ROOT_HALF: Final = 0x3F3504F3
"""The bits of the square root of a half in float32."""

# By interpolation at Chebyshev's points; largest errors 3e-9, 7e-9 and 5e-8, beside 6e-8 of float32.
_LOG: Final = (-3.999999997262636, -1.3333363067629995, -0.7994970103579903, -0.5984878093539622)
"""-2 log m = s P(s^2) for s = (m - 1) / (m + 1) and m between the roots of a half and of two."""
_SINE: Final = (
    1.5707963200386015,
    -0.6459637595835411,
    0.07968991832903376,
    -0.004674143838159408,
    0.00015167170366831324,
)
"""sin(pi y / 2) = y P(y^2) for y from -1 to 1."""
_COSINE: Final = (
    0.9999999530275125,
    -1.2336982006223685,
    0.25365067442267697,
    -0.020810515199823958,
    0.000858134467099835,
)
"""cos(pi y / 2) = P(y^2)."""


def normal(
    seed: int, name: str, start: int, stop: int, device: torch.device | str = "cpu"
) -> Float[Tensor, " numbers"]:
    """The standard normal numbers at positions ``start`` to ``stop`` of a tensor, in float32.

    They are a function of seed, name and position, whatever part of the tensor is asked for.

    Args:
        seed: Of the numbers.
        name: Of the tensor that they are for.
        start: First position, counted through the whole tensor row by row.
        stop: Position after the last.
        device: Where they are made.

    Raises:
        ValueError: If the range does not begin at or after 0, or ends before it begins.
    """
    found = torch.empty(stop - start if start <= stop else 0, device=device)
    for place, run in runs(seed, name, start, stop, device):
        found[place : place + len(run)] = run
    return found


def runs(
    seed: int, name: str, start: int, stop: int, device: torch.device | str = "cpu"
) -> Iterator[tuple[int, Float[Tensor, " run"]]]:
    """The numbers of `normal` a run at a time, each with its place after ``start``, in order.

    A run may be written into, and is overwritten by the next one.

    Raises:
        ValueError: If the range does not begin at or after 0, or ends before it begins.
    """
    if not 0 <= start <= stop:
        raise ValueError(f"numbers from {start} to {stop}: positions begin at 0, and a range ends after it begins")
    if start == stop:
        return
    device = torch.device(device)
    first, last = start // (2 * _ROW), ceil(stop / (2 * _ROW))
    rows = ceil((last - first) / ceil((last - first) / _ROWS_TOGETHER.get(device.type, _ROWS_ELSEWHERE)))
    source = _Source(rows, device, numpy if device.type == "cpu" else torch)
    for row in range(first, last, rows):
        source.draw(seed, name, row)
        begins = row * 2 * _ROW
        run = source.drawn[max(start - begins, 0) : stop - begins]
        yield max(begins - start, 0), run


class _Source:
    """Buffers in which rows of pairs are formed, by what numpy and torch have in common.

    On a processor numpy does it: torch's roots are not rounded correctly there, and its calls cost more.
    """

    def __init__(self, rows: int, device: torch.device, by: Any) -> None:
        pairs = rows * _ROW
        self._steps = torch.arange(pairs, device=device).mul_(_signed(_GAMMA))
        self._words, self._spare = torch.empty_like(self._steps), torch.empty_like(self._steps)
        self._low, self._high, self._whole = torch.empty(3, pairs, dtype=torch.int32, device=device)
        self._share, self._square, self._radius, self._wave = torch.empty(4, pairs, device=device)
        self._drawn = torch.empty(rows, 2, _ROW, device=device)
        self.drawn = self._drawn.view(-1)
        self._by = by
        if by is numpy:
            for name, buffer in vars(self).items():
                if name.startswith("_") and isinstance(buffer, Tensor):
                    setattr(self, name, buffer.numpy())

    def draw(self, seed: int, name: str, row: int) -> None:
        """Put the numbers of the rows from this one on into ``drawn``."""
        self._draw_bits(seed, name, row * _ROW)
        self._find_radius()
        # The angle: a share of half a turn to either side, and the sign that the radius did not need for the cosine.
        by, y, square, wave, radius = self._by, self._share, self._square, self._wave, self._radius
        _put(y, self._high)
        by.multiply(y, 2.0**-31, out=y)
        by.multiply(y, y, out=square)
        self._sum(_SINE, square, wave)
        by.multiply(wave, y, out=wave)
        by.multiply(wave.reshape(-1, _ROW), radius.reshape(-1, _ROW), out=self._drawn[:, 1])
        self._sum(_COSINE, square, wave)
        by.multiply(wave, radius, out=wave)
        sign = self._low.view(by.float32)
        by.copysign(wave.reshape(-1, _ROW), sign.reshape(-1, _ROW), out=self._drawn[:, 0])

    def _draw_bits(self, seed: int, name: str, place: int) -> None:
        """SplitMix64 of the places from this one on, in two halves; whole numbers wrap around, as it wants them to."""
        offset, between = _keys(seed, name)
        by, words, spare = self._by, self._words, self._spare
        by.add(self._steps, _signed(offset + place * _GAMMA), out=words)
        self._fold(30)
        by.multiply(words, -0x40A7B892E31B1A47, out=words)
        by.bitwise_xor(words, _signed(between), out=words)
        self._fold(27)
        by.multiply(words, -0x6B2FB644ECCEEE15, out=words)
        self._fold(31)
        _put(self._low, words)
        by.bitwise_right_shift(words, 32, out=spare)
        _put(self._high, spare)

    def _find_radius(self) -> None:
        """The root of -2 log u, for u in (0, 1] made of the low bits without their sign."""
        by, u, whole, above, radius = self._by, self._share, self._whole, self._square, self._radius
        by.bitwise_and(self._low, _MOST, out=whole)
        _put(u, whole)
        by.add(u, 0.5, out=u)
        # u = 2^31 2^exponent m, with m between the roots of a half and of two.
        bits = u.view(by.int32)
        by.subtract(bits, _ROOT_HALF + (31 << 23), out=bits)
        by.bitwise_right_shift(bits, 23, out=whole)
        _put(radius, whole)
        by.multiply(radius, -2 * log(2), out=radius)
        by.bitwise_and(bits, _MANTISSA, out=bits)
        by.add(bits, _ROOT_HALF, out=bits)
        by.add(u, 1, out=above)
        by.subtract(u, 1, out=u)
        by.divide(u, above, out=u)
        by.multiply(u, u, out=above)
        self._sum(_LOG, above, self._wave)
        by.multiply(self._wave, u, out=self._wave)
        by.add(radius, self._wave, out=radius)
        if by is numpy:
            by.sqrt(radius, out=radius)
        else:  # a root in float64 that is off by its last digit is rounded to the right one of float32
            _put(radius, by.sqrt(radius.double()))

    def _sum(self, coefficients: tuple[float, ...], x: Any, out: Any) -> None:
        """A polynomial, its lowest coefficient first; product and sum are rounded apart."""
        *lower, highest = coefficients
        self._by.multiply(x, highest, out=out)
        for coefficient in lower[:0:-1]:
            self._by.add(out, coefficient, out=out)
            self._by.multiply(out, x, out=out)
        self._by.add(out, lower[0], out=out)

    def _fold(self, shift: int) -> None:
        """Exclusive or of the words with themselves shifted to the right, without the sign that a shift repeats."""
        self._by.bitwise_right_shift(self._words, shift, out=self._spare)
        self._by.bitwise_and(self._spare, (1 << 64 - shift) - 1, out=self._spare)
        self._by.bitwise_xor(self._words, self._spare, out=self._words)


def _put(place: Any, numbers: Any) -> None:
    """Write numbers over others of another type."""
    if isinstance(place, Tensor):
        place.copy_(numbers)
    else:
        numpy.copyto(place, numbers, casting="unsafe")


def _keys(seed: int, name: str) -> tuple[int, int]:
    digest = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=16, person=b"normal").digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")


def _signed(number: int) -> int:
    """The 64 bits of a whole number, taken for one with a sign."""
    return (number + _WORD // 2) % _WORD - _WORD // 2
