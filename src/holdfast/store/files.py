"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from holdfast.core.errors import DamagedCheckpoint, NoSpace

if TYPE_CHECKING:
    from torch import Tensor

FULL = (errno.ENOSPC, errno.EDQUOT)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a reader, or a kill at any moment, finds the old file or the new one.

    Raises:
        NoSpace: If the disk is full; the old file, if any, is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        os.fchmod(handle, 0o644)  # temporary files are private; this one becomes an ordinary file
        with no_space_named(path), os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name into one safetensors file, whole or not at all.

    Raises:
        NoSpace: If the disk is full.
    """
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with no_space_named(path):
            save_file(dict(tensors), unfinished)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        DamagedCheckpoint: If it is missing, cut off, or something else.
    """
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError as error:
        raise DamagedCheckpoint(f"{path} is missing: was the folder copied in part?") from error
    except (OSError, SafetensorError) as error:
        raise DamagedCheckpoint(f"{path} holds no tensors: {error}") from error
    return tensors


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to be filled in a ``with`` block, which gets its name only when the block ends well.

    What a kill leaves behind has another name and is removed by ``sweep``.

    Raises:
        NoSpace: If the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        with no_space_named(path):
            yield unfinished
            for file in unfinished.rglob("*"):
                if file.is_file():
                    with file.open("rb") as written:
                        os.fsync(written.fileno())
        shutil.rmtree(path, ignore_errors=True)
        unfinished.chmod(0o755)
        Path(unfinished).replace(path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def sweep(folder: Path) -> None:
    """Remove what kills left half-written in a folder."""
    for leftover in folder.glob(".*.*") if folder.is_dir() else ():
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@contextmanager
def no_space_named(path: Path) -> Iterator[None]:
    """Turn the system's complaint about a full disk into one that says what to do."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        # safetensors reports the system's error number only in words.
        full = "os error 28" in str(error) if isinstance(error, SafetensorError) else error.errno in FULL
        if not full:
            raise
        free = shutil.disk_usage(path.parent).free if path.parent.exists() else 0
        raise NoSpace(
            f"no space left to write {path} ({free / 2**20:.0f} MiB free); "
            "what was finished is kept: free some space and run the same command again"
        ) from error
