"""Leading directions are iterated until they hold still, or refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from spectra import orthonormal, weight_with
from torch import Tensor
from twins import MAKERS, normal

from holdfast.algebra import lanczos
from holdfast.algebra.delta import Delta, Dense, Sum
from holdfast.algebra.lanczos import leading_spectrum
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.spectrum import Spectrum, spectrum_of
from holdfast.core.errors import NotMeasurable

HEIGHT, WIDTH = 180, 150


def noise_over(values: list[float]) -> Tensor:
    """A few strong directions over noise whose largest singular value is about 1.4."""
    strong = weight_with(values, HEIGHT, WIDTH, seed=3)
    return strong + 0.06 * normal(HEIGHT, WIDTH, seed=9)


WEIGHTS: dict[str, Callable[[], Tensor]] = {
    "noise": lambda: normal(HEIGHT, WIDTH),
    "wide noise": lambda: normal(WIDTH, HEIGHT),
    "four strong directions over noise": lambda: noise_over([40.0, 30.0, 20.0, 10.0]),
    "slowly falling": lambda: weight_with([1 / (1 + index) for index in range(WIDTH)], HEIGHT, WIDTH),
    "rank 25": lambda: weight_with([30.0 - index for index in range(25)], HEIGHT, WIDTH),
    "rank 2": lambda: weight_with([3.0, 2.0], HEIGHT, WIDTH),
    "rank 1": lambda: weight_with([3.0], HEIGHT, WIDTH),
    "zero": lambda: torch.zeros(HEIGHT, WIDTH, dtype=torch.float64),
    "all values equal": lambda: orthonormal(HEIGHT, WIDTH),
    "tiny": lambda: 1e-30 * normal(HEIGHT, WIDTH),
}


def residuals(weight: Tensor, found: Spectrum) -> float:
    forth = weight @ found.right - found.left * found.values
    back = weight.mT @ found.left - found.right * found.values
    return max(float(forth.norm(dim=0).max()), float(back.norm(dim=0).max()))


@pytest.fixture(autouse=True)
def only_products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "exactly" not in request.node.name:
        monkeypatch.setattr(lanczos, "spectrum_of", lambda _: pytest.fail("the matrix was decomposed"))


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("residual", [1e-3, 1e-10, 1e-14])
def test_it_finds_the_largest_values_to_the_residual_asked(name: str, count: int, residual: float) -> None:
    weight = WEIGHTS[name]()
    found = leading_spectrum(Dense(weight), count, residual=residual)
    truth = torch.linalg.svdvals(weight)
    largest = float(truth[0])
    assert found.shape == tuple(weight.shape) and found.values.dtype == torch.float64
    assert float((found.values - truth[:count]).abs().max()) <= (residual + 1e-14) * largest
    assert residuals(weight, found) <= (residual + 1e-14) * largest
    for directions in (found.left, found.right):
        torch.testing.assert_close(directions.mT @ directions, torch.eye(count).double(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["noise", "four strong directions over noise", "rank 1", "zero"])
def test_in_float32_it_reaches_its_default_residual(name: str) -> None:
    weight = WEIGHTS[name]().float()
    found = leading_spectrum(Dense(weight), 5)
    truth = torch.linalg.svdvals(weight.double())
    assert found.values.dtype == found.left.dtype == found.right.dtype == torch.float32
    torch.testing.assert_close(found.values.double(), truth[:5], rtol=0, atol=1e-5 * float(truth[0]))


def test_values_are_much_surer_than_the_residual_where_gaps_are_wide() -> None:
    weight = WEIGHTS["four strong directions over noise"]()
    found = leading_spectrum(Dense(weight), 4, residual=1e-4)
    torch.testing.assert_close(found.values, torch.linalg.svdvals(weight)[:4], rtol=1e-6, atol=0)


@pytest.mark.parametrize("form", ["rank 3", "few entries", "two blocks", "scaled", "sum"])
def test_it_multiplies_with_changes_of_every_form(form: str) -> None:
    twin = MAKERS[form](HEIGHT, WIDTH, torch.float64)
    found = leading_spectrum(twin.change, 3, residual=1e-9)
    torch.testing.assert_close(found.values, torch.linalg.svdvals(twin.dense)[:3], rtol=1e-8, atol=1e-10)
    assert residuals(twin.dense, found) <= 1e-8 * float(found.values[0])


def test_the_direction_of_a_change_of_rank_1_is_found() -> None:
    left, right = orthonormal(HEIGHT, 1), orthonormal(WIDTH, 1, seed=1)
    found = leading_spectrum(LowRank(7.0 * left, right.mT), 1)
    assert float(found.values[0]) == pytest.approx(7)
    assert abs(float(found.left[:, 0] @ left[:, 0])) == pytest.approx(1)
    assert abs(float(found.right[:, 0] @ right[:, 0])) == pytest.approx(1)


@pytest.mark.parametrize(
    "start",
    [
        lambda right: right[:, :3],
        lambda right: right[:, 3:9],
        lambda right: torch.zeros(WIDTH, 3).double(),
        lambda right: right[:, :1].expand(-1, 20),
        lambda right: 1e-20 * right[:, :3].float(),
        lambda right: right,
    ],
    ids=["the answer", "beside the answer", "zeros", "one direction", "short and single", "all directions"],
)
def test_a_start_may_be_good_or_bad(start: Callable[[Tensor], Tensor]) -> None:
    weight = WEIGHTS["slowly falling"]()
    found = leading_spectrum(Dense(weight), 3, start=start(spectrum_of(weight).right), residual=1e-9)
    torch.testing.assert_close(found.values, torch.linalg.svdvals(weight)[:3], rtol=1e-9, atol=0)


class Counted(Delta):
    """A dense change that counts its products."""

    def __init__(self, weight: Tensor) -> None:
        self._inner, self.products = Dense(weight), 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self._inner.shape

    def dense(self) -> Tensor:
        return self._inner.dense()

    def in_memory(self) -> Delta:
        return self

    def times(self, inputs: Tensor) -> Tensor:
        self.products += 1
        return self._inner.times(inputs)


def test_a_good_start_spares_work_and_a_small_residual_costs_some() -> None:
    weight = normal(HEIGHT, WIDTH)

    def work(residual: float, start: Tensor | None = None) -> int:
        counted = Counted(weight)
        leading_spectrum(counted, 2, start=start, residual=residual)
        return counted.products

    assert work(1e-8, spectrum_of(weight).right[:, :2]) <= 2 < work(1e-3) < work(1e-8)


def test_what_is_read_anew_for_every_product_is_read_once() -> None:
    class OnDisk(Delta):
        reads = 0

        @property
        def shape(self) -> tuple[int, ...]:
            return HEIGHT, WIDTH

        def dense(self) -> Tensor:
            self.reads += 1
            return normal(HEIGHT, WIDTH)

    change = OnDisk()
    leading_spectrum(change, 2)
    assert change.reads == 1


def test_the_basis_is_condensed_before_it_outgrows_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    widths, inner = [], lanczos._falling_directions

    def watched(image: Tensor) -> Tensor:
        widths.append(image.shape[1])
        return inner(image)

    monkeypatch.setattr(lanczos, "_falling_directions", watched)
    leading_spectrum(Dense(normal(1000, 400)), 2, residual=1e-10)
    assert len(widths) > lanczos.BLOCKS
    assert max(widths) <= lanczos.BLOCKS * (2 + lanczos.GUARD)


def test_it_is_the_same_every_time() -> None:
    weight = Dense(normal(HEIGHT, WIDTH))
    before = torch.random.get_rng_state()
    one, other = leading_spectrum(weight, 3), leading_spectrum(weight, 3)
    assert torch.equal(one.left, other.left) and torch.equal(one.right, other.right)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_does_not_hold_still_is_refused() -> None:
    with pytest.raises(NotMeasurable) as caught:
        leading_spectrum(Dense(normal(HEIGHT, WIDTH)), 2, residual=1e-8, rounds=3)
    said = str(caught.value)
    assert said.startswith(f"the 2 largest singular values of a matrix of shape ({HEIGHT}, {WIDTH}): after 3 rounds")
    assert said.endswith("of the largest, 1.0e-08 was asked; allow a larger residual, or take all of them exactly")
    with pytest.raises(NotMeasurable, match="after 200 rounds the residual is"):
        leading_spectrum(Dense(normal(HEIGHT, WIDTH).float()), 1, residual=1e-12)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_matrix_that_is_not_finite_is_refused(value: float) -> None:
    weight = normal(HEIGHT, WIDTH).index_put((torch.tensor(0), torch.tensor(1)), torch.tensor(value).double())
    with pytest.raises(NotMeasurable) as caught:
        leading_spectrum(Dense(weight), 1)
    assert str(caught.value) == (
        f"singular values of a matrix of shape ({HEIGHT}, {WIDTH}): its products are not finite"
    )


def test_a_small_matrix_is_decomposed_exactly() -> None:
    weight = normal(7, 5)
    found = leading_spectrum(Sum(Dense(weight)), 5)
    torch.testing.assert_close(found.values, torch.linalg.svdvals(weight), rtol=1e-13, atol=0)
    assert found.is_complete


@pytest.mark.parametrize(("shape", "found"), [((3, 5), "it has 3"), ((5,), "it is no matrix")])
def test_more_values_than_there_are_are_refused(shape: tuple[int, ...], found: str) -> None:
    with pytest.raises(NotMeasurable) as caught:
        leading_spectrum(Dense(torch.ones(shape)), 4)
    assert str(caught.value) == f"4 singular values of what has shape {shape}: {found}"
