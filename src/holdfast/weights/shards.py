"""Weights in a Hugging Face folder, read tensor by tensor from its safetensors files, or from trusted pickles."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from holdfast.core.errors import DamagedCheckpoint, UnsafeFile

SINGLE = "model.safetensors"
INDEX = f"{SINGLE}.index.json"
PICKLED: Final = {SINGLE: "pytorch_model.bin", "adapter_model.safetensors": "adapter_model.bin"}
"""The pickle that takes the place of a file."""

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
FLOATS = ("F64", "F32", "F16", "BF16")
"""Types in which weights stand for themselves, by the names they have in safetensors files."""


class Shards:
    """The tensors of a folder, by name; no more than one is in memory unless the caller keeps more.

    Pickles are opened as tables of tensors and nothing else, and are mapped into memory, not read. A tensor that they
    hold under several names is there under the first, as it is in a safetensors file.

    Args:
        folder: A folder with ``model.safetensors``, or with shards and their index.
        single: Name of the file where there is no index, such as ``adapter_model.safetensors``.
        allow_pickle: Open pickles where there is no safetensors file.

    Raises:
        DamagedCheckpoint: If a file is missing or cut off, or the index names a tensor that no shard holds.
        UnsafeFile: If there are only pickle files and ``allow_pickle`` is not set, or one would run code.
    """

    def __init__(self, folder: Path, single: str = SINGLE, *, allow_pickle: bool = False) -> None:
        self.folder = Path(folder)
        self._allow_pickle = allow_pickle
        self._tables: dict[Path, dict[str, Tensor]] = {}
        self._file_of = self._locate(single)

    def _locate(self, single: str) -> dict[str, Path]:
        for name in (single, PICKLED[single]) if self._allow_pickle else (single,):
            index = self.folder / f"{name}.index.json"
            if single == SINGLE and index.is_file():
                return self._listed(index)
            if (self.folder / name).is_file():
                return self._once(dict.fromkeys(self._names(name), self.folder / name))
        pickles = sorted(path.name for pattern in PICKLES for path in self.folder.glob(pattern))
        if pickles and not self._allow_pickle:
            raise UnsafeFile(
                f"{self.folder} holds its weights in {pickles[0]}, a pickle, which can run code when opened; "
                "save the model with safe_serialization=True, or pass --allow_pickle if you trust its origin"
            )
        if pickles:
            raise DamagedCheckpoint(
                f"{self.folder} holds its weights in {pickles[0]}, and of pickles only {PICKLED[single]} is opened; "
                "save the model with safe_serialization=True"
            )
        raise DamagedCheckpoint(f"{self.folder} holds no {single} and no {INDEX}: is it a model folder?")

    def _listed(self, index: Path) -> dict[str, Path]:
        try:
            listed: dict[str, str] = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedCheckpoint(f"{index} is not an index of shards: {error}") from error
        held = {name: self.folder / file for file in set(listed.values()) for name in self._names(file)}
        lost = sorted(set(listed) - set(held))
        if lost:
            raise DamagedCheckpoint(f"{index} lists '{lost[0]}', which no shard holds ({len(lost)} in all)")
        return self._once({name: held[name] for name in listed})

    def _names(self, file: str) -> list[str]:
        path = self.folder / file
        if self._pickled(path):
            return list(self._table(path))
        with _opened(path) as tensors:
            return list(tensors.keys())

    def _once(self, located: dict[str, Path]) -> dict[str, Path]:
        """Each tensor under one name: pickles repeat those that are tied."""
        first: dict[object, str] = {}
        for name, file in located.items():
            tensor = self._table(file)[name] if self._pickled(file) else None
            same = name if tensor is None or not tensor.numel() else (file, tensor.data_ptr(), tensor.shape)
            first.setdefault(same, name)
        return {name: located[name] for name in first.values()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._file_of)

    def __contains__(self, name: object) -> bool:
        return name in self._file_of

    def __len__(self) -> int:
        return len(self._file_of)

    def tensor(self, name: str) -> Tensor:
        """One tensor, read from disk now."""
        if self._pickled(self._file_of[name]):
            return self._table(self._file_of[name])[name]
        with _opened(self._file_of[name]) as tensors:
            tensor: Tensor = tensors.get_tensor(name)
            return tensor

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the header alone."""
        if self._pickled(self._file_of[name]):
            return tuple(self._table(self._file_of[name])[name].shape)
        with _opened(self._file_of[name]) as tensors:
            return tuple(tensors.get_slice(name).get_shape())

    def is_floating(self, name: str) -> bool:
        """Whether a tensor is stored as numbers of 16 bits or more, rather than as codes; from the header alone."""
        if self._pickled(self._file_of[name]):
            kind = self._table(self._file_of[name])[name].dtype
            return kind.is_floating_point and kind.itemsize > 1
        with _opened(self._file_of[name]) as tensors:
            return tensors.get_slice(name).get_dtype() in FLOATS

    def _pickled(self, file: Path) -> bool:
        return self._allow_pickle and file.suffix == ".bin"

    def _table(self, file: Path) -> dict[str, Tensor]:
        if file not in self._tables:
            self._tables[file] = _unpickled(file)
        return self._tables[file]


def _opened(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except FileNotFoundError as error:
        raise DamagedCheckpoint(f"{path} is listed in the index but is not there") from error
    except SafetensorError as error:
        size = path.stat().st_size
        raise DamagedCheckpoint(
            f"{path} is cut off or damaged ({size} bytes on disk; {error}); copy or download it again"
        ) from error


def _unpickled(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise DamagedCheckpoint(f"{path} is listed in the index but is not there")
    size = path.stat().st_size
    if not zipfile.is_zipfile(path):
        raise DamagedCheckpoint(
            f"{path} is cut off, or older than the format of torch 1.6 ({size} bytes on disk); copy or download it "
            "again, or save the model with safe_serialization=True"
        )
    try:
        table = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UnsafeFile(
            f"{path} holds more than tensors, and is not opened even with --allow_pickle, because it could run code; "
            "save the model with safe_serialization=True"
        ) from error
    except RuntimeError as error:
        raise DamagedCheckpoint(
            f"{path} is cut off or damaged ({size} bytes on disk; {error}); copy or download it again"
        ) from error
    if not isinstance(table, dict) or not all(isinstance(tensor, Tensor) for tensor in table.values()):
        raise DamagedCheckpoint(f"{path} is no table of tensors by name; save the model with safe_serialization=True")
    return table
