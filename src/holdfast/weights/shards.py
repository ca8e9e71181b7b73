"""Weights in a Hugging Face folder, read tensor by tensor from its safetensors files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from holdfast.core.errors import DamagedCheckpoint, UnsafeFile

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class Shards:
    """The tensors of a folder, by name; no more than one is in memory unless the caller keeps more.

    Args:
        folder: A folder with ``model.safetensors``, or with shards and their index.
        single: Name of the file where there is no index, such as ``adapter_model.safetensors``.

    Raises:
        DamagedCheckpoint: If a file is missing or cut off, or the index names a tensor that no shard holds.
        UnsafeFile: If there are only pickle files.
    """

    def __init__(self, folder: Path, single: str = SINGLE) -> None:
        self.folder = Path(folder)
        self._file_of = self._locate(single)

    def _locate(self, single: str) -> dict[str, Path]:
        index = self.folder / INDEX
        if single == SINGLE and index.is_file():
            try:
                listed: dict[str, str] = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
            except (ValueError, KeyError, TypeError) as error:
                raise DamagedCheckpoint(f"{index} is not an index of shards: {error}") from error
            held = {name: self.folder / file for file in set(listed.values()) for name in self._names(file)}
            lost = sorted(set(listed) - set(held))
            if lost:
                raise DamagedCheckpoint(f"{index} lists '{lost[0]}', which no shard holds ({len(lost)} in all)")
            return {name: held[name] for name in listed}
        if (self.folder / single).is_file():
            return dict.fromkeys(self._names(single), self.folder / single)
        pickles = sorted(path.name for pattern in PICKLES for path in self.folder.glob(pattern))
        if pickles:
            raise UnsafeFile(
                f"{self.folder} holds its weights in {pickles[0]}, a pickle, which can run code when opened; "
                "save the model with safe_serialization=True, or pass --allow_pickle if you trust its origin"
            )
        raise DamagedCheckpoint(f"{self.folder} holds no {single} and no {INDEX}: is it a model folder?")

    def _names(self, file: str) -> list[str]:
        with _opened(self.folder / file) as tensors:
            return list(tensors.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self._file_of)

    def __contains__(self, name: object) -> bool:
        return name in self._file_of

    def __len__(self) -> int:
        return len(self._file_of)

    def tensor(self, name: str) -> Tensor:
        """One tensor, read from disk now."""
        with _opened(self._file_of[name]) as tensors:
            tensor: Tensor = tensors.get_tensor(name)
            return tensor

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the header alone."""
        with _opened(self._file_of[name]) as tensors:
            return tuple(tensors.get_slice(name).get_shape())


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
