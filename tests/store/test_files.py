"""Files are there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from holdfast.core.errors import DamagedCheckpoint, NoSpace
from holdfast.store.files import no_space_named, read_tensors, sweep, whole_folder, write_tensors, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def failing(error: BaseException) -> Callable[..., None]:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    return fail


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")))
def test_a_text_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("text") / "deep" / "note.txt"
    write_text(file, "before")
    write_text(file, text)
    assert file.read_text(encoding="utf-8") == text
    assert names(file.parent) == ["note.txt"]


def test_a_written_file_is_an_ordinary_one(tmp_path: Path) -> None:
    write_text(tmp_path / "note.txt", "x")
    assert (tmp_path / "note.txt").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, step: str
) -> None:
    file = tmp_path / "note.txt"
    write_text(file, "old")
    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), failing(error))
    with pytest.raises(type(error)):
        write_text(file, "new")
    assert file.read_text() == "old"
    assert names(tmp_path) == ["note.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    file = tmp_path / "note.txt"
    write_text(file, "old")
    monkeypatch.setattr(os, "fsync", failing(OSError(code, "full")))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 7, 3 * 2**20))
    with pytest.raises(NoSpace) as caught:
        write_text(file, "new")
    assert str(caught.value) == (
        f"no space left to write {file} (3 MiB free); "
        "what was finished is kept: free some space and run the same command again"
    )
    assert file.read_text() == "old" and names(tmp_path) == ["note.txt"]


def test_safetensors_says_a_full_disk_in_words(tmp_path: Path) -> None:
    full = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    with pytest.raises(NoSpace, match="no space left to write"), no_space_named(tmp_path / "model.safetensors"):
        raise full


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_disk_that_is_really_full_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoSpace), no_space_named(tmp_path), Path("/dev/full").open("w") as file:
        file.write("x")


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "no"), SafetensorError("header too large"), ValueError("x")])
def test_other_errors_are_left_alone(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), no_space_named(tmp_path / "note.txt"):
        raise error


def test_a_folder_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "runs" / "step-1") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a").write_text("a")
        assert not (tmp_path / "runs" / "step-1").exists()
    assert (tmp_path / "runs" / "step-1" / "inner" / "a").read_text() == "a"
    assert (tmp_path / "runs" / "step-1").stat().st_mode & 0o777 == 0o755
    assert names(tmp_path / "runs") == ["step-1"]


def test_a_folder_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with whole_folder(tmp_path / "step-1") as folder:
            (folder / content).write_text(content)
    assert names(tmp_path / "step-1") == ["new"]


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_a_folder_that_fails_leaves_nothing_behind_and_the_old_one_whole(tmp_path: Path, error: BaseException) -> None:
    with whole_folder(tmp_path / "step-1") as folder:
        (folder / "old").write_text("old")
    wanted = NoSpace if isinstance(error, OSError) else type(error)
    with pytest.raises(wanted), whole_folder(tmp_path / "step-1") as folder:
        (folder / "half").write_text("half")
        raise error
    assert names(tmp_path) == ["step-1"]
    assert names(tmp_path / "step-1") == ["old"]


KILLED = """
import os, sys
from pathlib import Path
from holdfast.store.files import whole_folder, write_text
import holdfast.store.files as files
here = Path(sys.argv[1])
with whole_folder(here / "step-1") as folder:
    (folder / "half").write_text("half")
    files.os.fsync = lambda handle: os.kill(os.getpid(), 9)
    write_text(here / "note.txt", "new")
"""


def test_what_a_kill_leaves_behind_is_swept(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("old")
    (tmp_path / ".lock").touch()
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert (tmp_path / "note.txt").read_text() == "old"
    left = [name for name in names(tmp_path) if name not in {"note.txt", ".lock"}]
    assert len(left) == 2
    sweep(tmp_path)
    assert names(tmp_path) == [".lock", "note.txt"]


def test_sweeping_a_folder_that_is_not_there_does_nothing(tmp_path: Path) -> None:
    sweep(tmp_path / "nowhere")
    assert names(tmp_path) == []


def test_tensors_are_read_as_they_were_written(tmp_path: Path) -> None:
    tensors = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}
    write_tensors(tmp_path / "deep" / "t.safetensors", tensors)
    found = read_tensors(tmp_path / "deep" / "t.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["t.safetensors"]


def test_a_write_of_tensors_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "t.safetensors"
    write_tensors(file, {"a": torch.ones(2)})
    shared = torch.ones(4)
    with pytest.raises(RuntimeError, match="share memory"):
        write_tensors(file, {"a": shared[:2], "b": shared})
    assert read_tensors(file).keys() == {"a"}
    assert [path.name for path in tmp_path.iterdir()] == ["t.safetensors"]


def test_missing_and_damaged_tensors_are_told(tmp_path: Path) -> None:
    with pytest.raises(DamagedCheckpoint, match="is missing: was the folder copied in part"):
        read_tensors(tmp_path / "t.safetensors")
    (tmp_path / "t.safetensors").write_bytes(b"cut off")
    with pytest.raises(DamagedCheckpoint, match="holds no tensors: "):
        read_tensors(tmp_path / "t.safetensors")
