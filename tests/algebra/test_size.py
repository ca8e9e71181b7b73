"""Sizes of a change beside its weight."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spectra import spectrum_with
from twins import Twins, normal

from holdfast.algebra.rank import singular_values
from holdfast.algebra.size import RelativeSize, ValueChange, relative_size, singular_value_change
from holdfast.algebra.spectrum import spectrum_of
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable

sizes = st.integers(1, 8)


def test_relative_sizes_of_every_form_are_ratios_of_norms(twins: list[Twins]) -> None:
    for twin in twins:
        weight = normal(*twin.change.shape, seed=8)
        values, base = singular_values(twin.change), spectrum_of(weight)
        wanted = RelativeSize(
            float(torch.linalg.matrix_norm(twin.dense) / torch.linalg.matrix_norm(weight)),
            float(torch.linalg.matrix_norm(twin.dense, 2) / torch.linalg.matrix_norm(weight, 2)),
        )
        for found in (relative_size(values, base), relative_size(values[:1], base, norm=twin.change.norm())):
            assert found.frobenius == pytest.approx(wanted.frobenius, rel=1e-5, abs=1e-12)
            assert found.spectral == pytest.approx(wanted.spectral, rel=1e-5, abs=1e-12)


@given(sizes, sizes, st.floats(1e-6, 10), st.integers(0, 10**6))
def test_singular_values_move_by_no_more_than_the_norm_of_the_change(
    outputs: int, inputs: int, scale: float, seed: int
) -> None:
    weight, change = normal(outputs, inputs, seed=seed), scale * normal(outputs, inputs, seed=seed + 1)
    found = singular_value_change(spectrum_of(weight), spectrum_of(weight + change))
    before, after = torch.linalg.svdvals(weight), torch.linalg.svdvals(weight + change)
    moves = [abs(float(one - other)) for one, other in zip(before, after, strict=True)]
    assert found.relative == pytest.approx(sum(move**2 for move in moves) ** 0.5 / float(weight.norm()), abs=1e-12)
    assert found.peak == pytest.approx(max(moves) / float(before[0]), abs=1e-12)
    size = relative_size(torch.linalg.svdvals(change), spectrum_of(weight))
    assert found.relative <= size.frobenius * (1 + 1e-9)
    assert found.peak <= size.spectral * (1 + 1e-9)


def test_no_change_moves_nothing() -> None:
    base = spectrum_of(normal(4, 6).float())
    assert singular_value_change(base, base) == ValueChange(0.0, 0.0)
    assert relative_size(torch.zeros(4), base) == RelativeSize(0.0, 0.0)


def test_moves_by_hand() -> None:
    base, tuned = spectrum_with([4.0, 3.0], 3, 2), spectrum_with([5.0, 1.0], 3, 2, seed=7)
    found = singular_value_change(base, tuned)
    assert found.relative == pytest.approx(5**0.5 / 5)
    assert found.peak == pytest.approx(2 / 4)


def test_beside_a_zero_weight_nothing_has_a_size() -> None:
    zero, other = spectrum_of(torch.zeros(2, 3)), spectrum_of(normal(2, 3).float())
    with pytest.raises(NotMeasurable) as caught:
        relative_size(torch.ones(2), zero)
    assert str(caught.value) == (
        "relative size of an update: the weight itself is zero, and nothing is large or small beside it"
    )
    with pytest.raises(NotMeasurable, match="singular value change: the weight itself is zero"):
        singular_value_change(zero, other)
    assert singular_value_change(other, zero).relative == pytest.approx(1)


def test_leading_values_alone_are_not_enough() -> None:
    whole = spectrum_of(normal(4, 6))
    with pytest.raises(NotMeasurable, match="relative size of an update takes all 4 singular values"):
        relative_size(torch.ones(4), whole.top(2))
    for pair in ((whole.top(2), whole), (whole, whole.top(2))):
        with pytest.raises(NotMeasurable, match="singular value change takes all 4 singular values"):
            singular_value_change(*pair)


def test_weights_of_different_shapes_are_not_compared() -> None:
    with pytest.raises(IncompatibleUpdate, match=r"weights of shapes \(2, 3\) and \(3, 2\)"):
        singular_value_change(spectrum_of(normal(2, 3)), spectrum_of(normal(3, 2)))
