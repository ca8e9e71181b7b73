"""Every form of a change answers as its dense form does."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from twins import DTYPES, MAKERS, Twins

from holdfast.algebra.delta import Delta, Dense, Scaled, Sum, exact, frobenius_norm
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.sparse import Sparse
from holdfast.core.errors import NotMeasurable


def assert_close(found: Tensor | float, wanted: Tensor | float, scale: float) -> None:
    """Equal up to rounding of float32; of float64, where the answer is in it."""
    found, wanted = torch.as_tensor(found), torch.as_tensor(wanted)
    rounding = 1e-12 if found.dtype == torch.float64 and wanted.dtype == torch.float64 else 3e-6
    torch.testing.assert_close(found.double(), wanted.double(), rtol=0, atol=rounding * max(scale, 1.0))


def normal_inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def test_it_is_the_matrix_of_its_twin(twins: list[Twins]) -> None:
    for twin in twins:
        dense = twin.change.dense()
        assert twin.change.shape == tuple(dense.shape) == tuple(twin.dense.shape)
        assert_close(dense, twin.dense, float(twin.dense.abs().max()))


@pytest.mark.parametrize("batch", [(), (3,), (2, 5)], ids=str)
def test_it_acts_on_inputs_as_its_twin(twins: list[Twins], batch: tuple[int, ...]) -> None:
    for twin in twins:
        inputs = normal_inputs(*batch, twin.change.shape[1])
        found, wanted = twin.change.times(inputs.to(twin.change.dense().dtype)), inputs @ twin.dense.T
        assert found.shape == wanted.shape
        assert_close(found, wanted, 10 * float(twin.dense.norm()))


@pytest.mark.parametrize("batch", [(), (3,), (2, 5), (0,)], ids=str)
def test_its_transpose_acts_on_outputs_as_its_twin(twins: list[Twins], batch: tuple[int, ...]) -> None:
    for twin in twins:
        outputs = normal_inputs(*batch, twin.change.shape[0])
        found, wanted = twin.change.times_left(outputs.to(twin.change.dense().dtype)), outputs @ twin.dense
        assert found.shape == wanted.shape
        assert_close(found, wanted, 10 * float(twin.dense.norm()))


def test_its_transpose_acts_on_outputs_of_half_precision(twins: list[Twins]) -> None:
    for twin in twins:
        outputs = normal_inputs(3, twin.change.shape[0]).bfloat16()
        found = twin.change.times_left(outputs)
        assert found.dtype == twin.change.dense().dtype
        assert_close(found, outputs.double() @ twin.dense, 10 * float(twin.dense.norm()))


def test_its_factors_multiply_to_its_twin_where_it_has_some(twins: list[Twins]) -> None:
    for twin in twins:
        factors = twin.change.factors()
        assert (factors is not None) == isinstance(twin.change, LowRank | Scaled)
        if factors is not None:
            assert_close(factors[0] @ factors[1], twin.dense, float(twin.dense.norm()))


def test_held_in_memory_it_is_the_same_change_in_a_form_that_stays(twins: list[Twins]) -> None:
    for twin in twins:
        held = twin.change.in_memory()
        assert type(held) is type(twin.change)
        assert torch.equal(held.dense(), twin.change.dense())


def test_it_acts_on_inputs_of_half_precision(twins: list[Twins]) -> None:
    for twin in twins:
        inputs = normal_inputs(3, twin.change.shape[1]).bfloat16()
        found = twin.change.times(inputs)
        assert found.dtype == twin.change.dense().dtype
        assert_close(found, inputs.double() @ twin.dense.T, 10 * float(twin.dense.norm()))


def test_it_has_the_norm_of_its_twin(twins: list[Twins]) -> None:
    for twin in twins:
        assert twin.change.norm() == pytest.approx(float(twin.dense.norm()), rel=3e-6, abs=1e-12)


def test_it_has_all_singular_values_of_its_twin(twins: list[Twins]) -> None:
    for twin in twins:
        found, wanted = twin.change.singular_values(), torch.linalg.svdvals(twin.dense)
        assert found.shape == (min(twin.change.shape),)
        assert bool((found[:-1] >= found[1:]).all())
        assert_close(found, wanted, 3 * float(wanted.max()))


def test_moving_it_to_a_device_keeps_its_form_and_its_numbers(twins: list[Twins]) -> None:
    for twin in twins:
        moved = twin.change.to("cpu")
        assert type(moved) is type(twin.change)
        assert torch.equal(moved.dense(), twin.change.dense())
        assert moved.device == torch.device("cpu")


@pytest.mark.parametrize("factor", [0.0, 1.0, -2.5])
def test_scaling_scales_every_answer(twins: list[Twins], factor: float) -> None:
    for twin in twins:
        scaled, size = Scaled(factor, twin.change), abs(factor) * float(twin.dense.norm())
        assert scaled.shape == twin.change.shape
        assert_close(scaled.dense(), factor * twin.dense, size)
        assert scaled.norm() == pytest.approx(size, rel=3e-6, abs=1e-12)
        outputs = normal_inputs(twin.change.shape[0])
        assert_close(scaled.times_left(outputs), factor * outputs @ twin.dense, 10 * size)
        assert_close(scaled.singular_values(), abs(factor) * torch.linalg.svdvals(twin.dense), 3 * size)


@pytest.mark.parametrize("form", MAKERS)
def test_answers_are_in_float32_and_in_float64_where_the_tensors_are(form: str) -> None:
    kinds = {dtype: MAKERS[form](4, 6, dtype).change.dense().dtype for dtype in DTYPES}
    assert kinds == {torch.float32: torch.float32, torch.bfloat16: torch.float32, torch.float64: torch.float64}


@pytest.mark.parametrize("form", [form for form in MAKERS if "entr" not in form and form != "sum"])
def test_every_tensor_of_it_is_moved(form: str) -> None:
    # The device without storage refuses to be mixed with any other.
    moved = MAKERS[form](4, 6, torch.float32).change.to("meta")
    assert moved.dense().device.type == moved.device.type == "meta"
    assert moved.times(torch.empty(6, device="meta")).shape == (4,)


@pytest.mark.parametrize(
    "change",
    [
        Dense(torch.ones(5)),
        Sparse(torch.tensor([1]), torch.tensor([2.0]), (5,)),
        Scaled(2.0, Dense(torch.ones(5))),
        Sum(Dense(torch.ones(5)), Sparse(torch.tensor([1]), torch.tensor([2.0]), (5,))),
    ],
    ids=["dense", "sparse", "scaled", "sum"],
)
def test_a_vector_has_a_norm_and_no_singular_values(change: Delta) -> None:
    assert change.norm() == pytest.approx(float(change.dense().norm()))
    with pytest.raises(NotMeasurable) as caught:
        change.singular_values()
    assert str(caught.value) == "singular values of a change of shape (5,): defined for matrices only"
    with pytest.raises(NotMeasurable, match=r"times of a change of shape \(5,\): defined for matrices only"):
        change.times(torch.ones(5))
    with pytest.raises(NotMeasurable, match=r"times_left of a change of shape \(5,\): defined for matrices only"):
        change.times_left(torch.ones(5))


def test_gradients_are_not_carried_along() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    for change in (Dense(weight), LowRank(weight, weight), Sparse(torch.tensor([0]), weight[0, :1], (2, 2))):
        assert not change.dense().requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_exact_is_float32_for_all_but_float64(dtype: torch.dtype) -> None:
    assert exact(torch.ones(2, dtype=dtype)).dtype == torch.float32
    wide = torch.ones(2, dtype=torch.float64)
    assert exact(wide) is wide


def test_a_change_of_half_precision_is_not_rounded_again() -> None:
    # 1 + 2^-9 is no bfloat16: a sum formed in half precision would lose the small part.
    total = Sum(Dense(torch.tensor([[1.0]]).bfloat16()), Dense(torch.tensor([[2.0**-9]]).bfloat16()))
    assert total.dense().item() == 1 + 2.0**-9


def test_a_change_of_one_shape_is_not_added_to_one_of_another() -> None:
    with pytest.raises(ValueError, match=r"changes of shapes \[\(2, 2\), \(3, 2\)\] cannot be added"):
        Sum(Dense(torch.ones(2, 2)), Dense(torch.ones(3, 2)))


def test_a_sum_of_one_is_that_one() -> None:
    change = Dense(torch.ones(2, 3))
    assert torch.equal(Sum(change).dense(), change.dense())
    assert Sum(change).norm() == change.norm()


def test_a_sum_of_changes_of_low_rank_has_their_factors_side_by_side() -> None:
    first, second = MAKERS["rank 1"](4, 6, torch.float64), MAKERS["rank 3"](4, 6, torch.float64)
    factors = Sum(first.change, Scaled(2.0, second.change)).factors()
    assert factors is not None
    assert factors[0].shape == (4, 4) and factors[1].shape == (4, 6)
    assert_close(factors[0] @ factors[1], first.dense + 2 * second.dense, 10.0)
    assert Sum(first.change, Dense(second.dense)).factors() is None
    assert Scaled(2.0, Dense(second.dense)).factors() is None


def test_what_is_read_anew_for_every_question_is_read_once_for_many() -> None:
    class OnDisk(Delta):
        reads = 0

        @property
        def shape(self) -> tuple[int, ...]:
            return 2, 3

        def dense(self) -> Tensor:
            self.reads += 1
            return torch.ones(2, 3)

    change = OnDisk()
    held = Scaled(2.0, Sum(change, Dense(torch.ones(2, 3)))).in_memory()
    for _ in range(5):
        assert held.times(torch.ones(3)).tolist() == [12.0, 12.0]
        assert held.times_left(torch.ones(2)).tolist() == [8.0, 8.0, 8.0]
    assert change.reads == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (7, 5), (3, 2**17), (2, 3, 4)], ids=str)
def test_the_norm_is_that_of_all_entries_in_float64(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(3)).to(dtype)
    for held in (tensor, tensor.mT if tensor.dim() > 1 else tensor):
        assert frobenius_norm(held) == pytest.approx(float(torch.linalg.vector_norm(tensor.double())), rel=1e-12)


def test_the_norm_of_a_large_change_loses_nothing_to_the_length_of_the_sum() -> None:
    assert Dense(torch.full((2048, 4096), 0.1)).norm() == pytest.approx(0.1 * 2**11.5, rel=1e-7)


def test_the_norm_of_huge_entries_does_not_overflow_and_what_is_not_finite_shows() -> None:
    assert frobenius_norm(torch.full((4,), 1e30)) == pytest.approx(2e30)
    assert frobenius_norm(torch.tensor([1.0, math.inf])) == math.inf
    assert math.isnan(frobenius_norm(torch.tensor([1.0, math.nan])))
