"""Spectra of weights on disk, under a key of the weight: what one diagnosis has decomposed no other does again."""

from __future__ import annotations

import hashlib
import math
import os
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from holdfast.algebra.delta import exact
from holdfast.algebra.spectrum import Spectrum, spectrum_of
from holdfast.core.errors import NoSpace
from holdfast.store.files import no_space_named

CACHE = "HOLDFAST_CACHE"
"""Environment variable with the folder of the cache."""

_SUMMED_ROWS = 128
"""Rows whose columns are summed for a key; with another number the spectra kept so far would not be found."""

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""The longest whole numbers of which a row of so many bytes, or a multiple of them, is made up."""


def cache_folder() -> Path:
    """Where spectra are kept: ``$HOLDFAST_CACHE``, or ``holdfast`` in the user's cache folder."""
    given = os.environ.get(CACHE)
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "holdfast"


class Spectra:
    """The spectra of weights, read from disk where they are, worked out and written where they are not.

    Args:
        folder: Where they are kept; nothing is written where there is none.
        smallest: Weights with a smaller side below this are decomposed faster than they are read.
    """

    def __init__(self, folder: Path | None = None, smallest: int = 256) -> None:
        self._folder, self._smallest = folder, smallest
        self._writable = True

    def of(self, weight: Tensor) -> Spectrum:
        """The spectrum of a weight, on its device. Where nothing can be written, a warning says so once.

        Raises:
            NotMeasurable: If the weight is not a finite matrix.
        """
        weight = weight.detach()
        if self._folder is None or weight.dim() != 2 or min(weight.shape) < self._smallest:
            return spectrum_of(weight)
        file = self._folder / "spectra" / f"{key_of_weight(weight)}.safetensors"
        found = _read(file, weight)
        if found is None:
            # In the order of memory in which it will be read: the last digits of every product hang on it.
            fresh = spectrum_of(weight)
            found = Spectrum(fresh.left.contiguous(), fresh.values, fresh.right.contiguous())
            if self._writable:
                self._keep(file, found)
        return found

    def _keep(self, file: Path, spectrum: Spectrum) -> None:
        try:
            _write(file, spectrum)
        except (OSError, SafetensorError, NoSpace) as error:
            # Only time is lost: the next diagnosis decomposes again what this one could not keep.
            self._writable = False
            warnings.warn(
                f"spectra cannot be kept in {file.parent} and will be worked out again next time ({error}); set "
                f"{CACHE} to a folder that can be written",
                stacklevel=3,
            )


def key_of_weight(weight: Tensor) -> str:
    """A hash of a matrix's type, shape and bits: equal weights have equal keys, wherever they come from.

    The bits go in as their exact sums along rows and columns, a tenth of the work. What could pass for the same was
    made to: the spectrum found is tried on the weight before it is believed.
    """
    content = hashlib.sha256(f"{weight.dtype} {tuple(weight.shape)}".encode())
    bits = weight.detach().cpu().contiguous().view(torch.uint8)
    words = bits.view(_WORDS[math.gcd(bits.shape[1], 8)])
    for block in torch.split(words, _SUMMED_ROWS):
        content.update(block.sum(1).numpy().data)
        content.update(block.sum(0).numpy().data)
    return content.hexdigest()


def _read(file: Path, weight: Tensor) -> Spectrum | None:
    try:
        with safe_open(file, framework="pt") as tensors:
            parts = [tensors.get_tensor(name) for name in ("left", "values", "right")]
    except (OSError, SafetensorError):
        # A file that was cut off, or is none, is written anew.
        return None
    (outputs, inputs), count = weight.shape, min(weight.shape)
    shapes = [tuple(part.shape) for part in parts]
    if shapes != [(outputs, count), (count,), (inputs, count)] or {part.dtype for part in parts} != {_dtype(weight)}:
        return None
    found = Spectrum(*(part.to(weight.device) for part in parts))
    return found if found.is_of(weight) else None


def _dtype(weight: Tensor) -> torch.dtype:
    return exact(weight[:0]).dtype


def _write(file: Path, spectrum: Spectrum) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    tensors = {"left": spectrum.left, "values": spectrum.values, "right": spectrum.right}
    try:
        with no_space_named(file):
            save_file(tensors, part)
            part.replace(file)
    finally:
        part.unlink(missing_ok=True)
