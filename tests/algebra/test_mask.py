"""The choice in every tensor of a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from holdfast.algebra.bits import Bits
from holdfast.algebra.mask import Mask
from holdfast.core.errors import NotMeasurable

SHAPES = {"b": (3, 5), "a": (9,), "nothing": (0, 4)}
chosen = st.sets(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 8)))


def mask(scalars: set[tuple[str, int]]) -> Mask:
    places = {name: torch.tensor([p for n, p in scalars if n == name], dtype=torch.int64) for name in SHAPES}
    return Mask({name: Bits.at(places[name], shape) for name, shape in SHAPES.items()})


@given(chosen, chosen)
def test_masks_are_joined_and_compared_as_sets_are(one: set[tuple[str, int]], other: set[tuple[str, int]]) -> None:
    a, b = mask(one), mask(other)
    assert (a & b) == mask(one & other)
    assert (a | b) == mask(one | other)
    assert (~a).count() == 24 - len(one)
    assert a.count() == len(one) and a.size == 24 and a.share_frac == len(one) / 24
    if one | other:
        assert a.jaccard(b) == len(one & other) / len(one | other)


def test_the_overlap_of_nothing_with_nothing_is_undefined() -> None:
    empty = Mask.none_of(SHAPES)
    with pytest.raises(NotMeasurable, match="neither holds a scalar, and 0 over 0 is undefined"):
        empty.jaccard(empty)
    assert empty.jaccard(~empty) == 0


def test_the_share_of_no_scalars_is_undefined() -> None:
    with pytest.raises(NotMeasurable, match="its tensors have no scalars"):
        _ = Mask({}).share_frac


def test_it_is_written_and_read_with_safetensors(tmp_path: Path) -> None:
    wanted = mask({("a", 8), ("b", 0)})
    save_file(wanted.tensors(), tmp_path / "mask.safetensors")
    found = Mask.of_tensors(load_file(tmp_path / "mask.safetensors"), SHAPES)
    assert found == wanted
    assert list(found) == list(SHAPES)
    assert repr(found) == "Mask(2 of 24 scalars in 3 tensors)"


def test_masks_of_different_tensors_are_not_joined() -> None:
    with pytest.raises(ValueError, match="only one mask names b, nothing"):
        mask(set()) & Mask.none_of({"a": (9,)})
    with pytest.raises(ValueError, match="only the other names c, d, e and 1 more"):
        Mask.none_of({"a": (9,)}) | Mask.none_of(dict.fromkeys("acdef", (9,)))
    with pytest.raises(ValueError, match=r"'a' is \(9,\) in one, \(3, 3\) in the other"):
        Mask.none_of({"a": (9,)}).jaccard(Mask.none_of({"a": (3, 3)}))


def test_bytes_must_be_of_the_tensors_that_are_named() -> None:
    with pytest.raises(ValueError, match="only the shapes names a"):
        Mask.of_tensors({}, {"a": (9,)})
    with pytest.raises(ValueError, match=r"bits of a tensor of shape \(99,\) take \(13,\)"):
        Mask.of_tensors(mask(set()).tensors(), {**SHAPES, "a": (99,)})
