"""A weight is decomposed once; what lies on disk is believed only where it is the spectrum of that weight."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from processes import begun, ends
from safetensors.torch import load_file, save_file
from torch import Tensor
from twins import normal

from holdfast.algebra.spectrum import Spectrum, spectrum_of
from holdfast.core.errors import NotMeasurable
from holdfast.store import spectra
from holdfast.store.spectra import CACHE, Spectra, cache_folder, key_of_weight

WEIGHT = normal(12, 20, dtype=torch.float32)


@pytest.fixture
def decomposed(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Every weight that is decomposed from now on."""
    seen: list[Tensor] = []

    def watched(weight: Tensor) -> Spectrum:
        seen.append(weight)
        return spectrum_of(weight)

    monkeypatch.setattr(spectra, "spectrum_of", watched)
    return seen


def files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def assert_same(found: Spectrum, wanted: Spectrum) -> None:
    for name in ("left", "values", "right"):
        assert torch.equal(getattr(found, name), getattr(wanted, name))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (12, 12)], ids=str)
def test_the_second_time_nothing_is_decomposed(
    tmp_path: Path, decomposed: list[Tensor], dtype: torch.dtype, shape: tuple[int, int]
) -> None:
    weight = normal(*shape, dtype=dtype)
    first = Spectra(tmp_path, smallest=8).of(weight)
    again = Spectra(tmp_path, smallest=8).of(weight.clone().requires_grad_())
    assert len(decomposed) == 1
    assert_same(first, spectrum_of(weight))
    assert_same(again, first)
    assert [file.suffix for file in files(tmp_path)] == [".safetensors"]


def test_the_same_weight_in_another_order_of_memory_is_the_same_weight(
    tmp_path: Path, decomposed: list[Tensor]
) -> None:
    Spectra(tmp_path, smallest=8).of(WEIGHT)
    Spectra(tmp_path, smallest=8).of(WEIGHT.T.contiguous().T)
    assert len(decomposed) == 1


def test_small_weights_are_not_written(tmp_path: Path, decomposed: list[Tensor]) -> None:
    for _ in range(2):
        Spectra(tmp_path, smallest=13).of(WEIGHT)
        Spectra(tmp_path).of(normal(255, 300))
    assert len(decomposed) == 4
    assert files(tmp_path) == []
    Spectra(tmp_path, smallest=12).of(WEIGHT)
    assert len(files(tmp_path)) == 1


def test_nothing_is_written_without_a_folder(
    tmp_path: Path, decomposed: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert_same(Spectra(smallest=8).of(WEIGHT), spectrum_of(WEIGHT))
    assert len(decomposed) == 2
    assert files(tmp_path) == []


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (0, 5)], ids=str)
def test_what_is_no_matrix_is_refused_as_it_is_without_a_cache(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(NotMeasurable, match="defined for matrices with entries"):
        Spectra(tmp_path, smallest=0).of(torch.zeros(shape))
    assert files(tmp_path) == []


def test_a_weight_that_is_not_finite_is_refused_and_not_kept(tmp_path: Path) -> None:
    weight = WEIGHT.clone()
    weight[2, 3] = torch.nan
    with pytest.raises(NotMeasurable, match="the first at row 2, column 3"):
        Spectra(tmp_path, smallest=8).of(weight)
    assert files(tmp_path) == []


@given(st.integers(0, 11), st.integers(0, 19))
def test_the_key_hangs_on_every_entry(row: int, column: int) -> None:
    other = WEIGHT.clone()
    other[row, column] = torch.nextafter(other[row, column], torch.tensor(9.0))
    assert key_of_weight(other) != key_of_weight(WEIGHT) == key_of_weight(WEIGHT.clone())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 1), (300, 3), (2, 301), (129, 8)], ids=str)
def test_the_key_hangs_on_every_entry_whatever_the_length_of_rows(dtype: torch.dtype, shape: tuple[int, int]) -> None:
    weight = normal(*shape, dtype=dtype)
    others = [weight.roll(1, dims=0), weight.roll(1, dims=1), -weight]
    for at in {(0, 0), (shape[0] - 1, shape[1] - 1)}:
        others.append(weight.clone())
        others[-1][at] *= 1.01
    changed = [other for other in others if not torch.equal(other, weight)]
    assert key_of_weight(weight) not in {key_of_weight(other) for other in changed}
    assert len(changed) >= 2


def test_the_key_hangs_on_type_and_shape() -> None:
    zeros = torch.zeros(4, 6)
    others = [
        zeros.half(),
        zeros.bfloat16(),
        zeros.double(),
        zeros.T,
        zeros.reshape(3, 8),
        zeros.reshape(2, 12),
        -zeros,
    ]
    assert len({key_of_weight(weight) for weight in (zeros, *others)}) == 1 + len(others)


Damage = Callable[[Path], None]


def rewritten(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Damage:
    return lambda file: save_file({k: v.contiguous() for k, v in change(load_file(file)).items()}, file)


def foreign(weight: Tensor) -> Damage:
    found = spectrum_of(weight)
    return rewritten(lambda _: {"left": found.left, "values": found.values, "right": found.right})


DAMAGES: dict[str, Damage] = {
    "empty": lambda file: file.write_bytes(b"") and None,
    "cut off": lambda file: file.write_bytes(file.read_bytes()[:-9]) and None,
    "other bytes": lambda file: file.write_bytes(b"not safetensors at all") and None,
    "another weight": foreign(normal(12, 20, seed=5, dtype=torch.float32)),
    "another shape": foreign(normal(20, 12, dtype=torch.float32)),
    "another precision": rewritten(lambda held: {name: part.half() for name, part in held.items()}),
    "half of it": rewritten(lambda held: {name: part[..., :5] for name, part in held.items()}),
    "a missing part": rewritten(lambda held: {"left": held["left"], "values": held["values"]}),
    "parts that do not fit": rewritten(lambda held: {**held, "values": held["values"][:-1]}),
    "vectors instead of matrices": rewritten(lambda held: {name: part.flatten() for name, part in held.items()}),
    "no numbers": rewritten(lambda held: {**held, "values": held["values"] * torch.nan}),
    "other values": rewritten(lambda held: {**held, "values": 2 * held["values"]}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_the_spectrum_is_worked_out_anew(
    tmp_path: Path, decomposed: list[Tensor], damage: str
) -> None:
    Spectra(tmp_path, smallest=8).of(WEIGHT)
    (file,) = files(tmp_path)
    DAMAGES[damage](file)
    assert_same(Spectra(tmp_path, smallest=8).of(WEIGHT), spectrum_of(WEIGHT))
    assert len(decomposed) == 2
    assert_same(Spectra(tmp_path, smallest=8).of(WEIGHT), spectrum_of(WEIGHT))
    assert len(decomposed) == 2
    assert files(tmp_path) == [file]


def test_a_rank_deficient_weight_is_found_again(tmp_path: Path, decomposed: list[Tensor]) -> None:
    for weight in (torch.zeros(12, 20), normal(12, 1) @ normal(1, 20)):
        for _ in range(2):
            Spectra(tmp_path, smallest=8).of(weight)
    assert len(decomposed) == 2


def test_a_folder_that_cannot_be_written_is_told_once_and_costs_time_only(
    tmp_path: Path, decomposed: list[Tensor]
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    kept = Spectra(tmp_path / "cache", smallest=8)
    with pytest.warns(UserWarning) as heard:
        assert_same(kept.of(WEIGHT), spectrum_of(WEIGHT))
    folder = tmp_path / "cache" / "spectra"
    assert [str(warning.message) for warning in heard] == [
        f"spectra cannot be kept in {folder} and will be worked out again next time ([Errno 20] Not a directory: "
        f"'{folder}'); set HOLDFAST_CACHE to a folder that can be written"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept.of(2 * WEIGHT)
    assert len(decomposed) == 2


def test_a_disk_that_is_full_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spectra, "save_file", full)
    kept = Spectra(tmp_path, smallest=8)
    with pytest.warns(UserWarning, match="no space left to write"):
        assert_same(kept.of(WEIGHT), spectrum_of(WEIGHT))
    assert files(tmp_path) == []


def test_what_was_kept_is_still_read_where_nothing_can_be_written(
    tmp_path: Path, decomposed: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    Spectra(tmp_path, smallest=8).of(WEIGHT)

    def read_only(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(spectra, "save_file", read_only)
    kept = Spectra(tmp_path, smallest=8)
    with pytest.warns(UserWarning, match="Permission denied"):
        kept.of(2 * WEIGHT)
    kept.of(WEIGHT)
    assert len(decomposed) == 2


KILLED = """
import os, sys, torch
from pathlib import Path
from holdfast.store import spectra
write = spectra.save_file
def killed(tensors, file):
    write(tensors, file)
    Path(file).write_bytes(Path(file).read_bytes()[:100])
    os.kill(os.getpid(), 9)
spectra.save_file = killed
spectra.Spectra(Path(sys.argv[1]), smallest=8).of(torch.arange(240.0).reshape(12, 20))
"""


def test_a_kill_while_writing_leaves_nothing_under_the_final_name(tmp_path: Path, decomposed: list[Tensor]) -> None:
    program = tmp_path / "killed.py"
    program.write_text(KILLED, encoding="utf-8")
    assert ends([begun(program, tmp_path)]) == [-9]
    weight = torch.arange(240.0).reshape(12, 20)
    assert not (tmp_path / "spectra" / f"{key_of_weight(weight)}.safetensors").exists()
    for _ in range(2):
        assert_same(Spectra(tmp_path, smallest=8).of(weight), spectrum_of(weight))
    assert len(decomposed) == 1


def test_the_folder_is_the_one_that_the_user_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv(CACHE, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "holdfast"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv(CACHE)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "holdfast"
    assert os.environ["HOME"] == str(tmp_path / "home")
