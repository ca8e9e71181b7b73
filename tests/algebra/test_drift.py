"""Drift from moments, samples and every form of a change, against sums over tokens."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from twins import MAKERS, Twins, normal

from holdfast.algebra.delta import Delta, Dense, Scaled, Sum
from holdfast.algebra.drift import Drift, drift
from holdfast.algebra.layer_inputs import Inputs, SecondMoment, TokenSample
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.moments import CHUNK_ROWS
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable

seeds = st.integers(0, 1000)
KINDS: tuple[type[SecondMoment] | type[TokenSample], ...] = (SecondMoment, TokenSample)


def tokens(count: int, width: int, seed: int = 0) -> Tensor:
    """Inputs with preferred directions."""
    return normal(count, width, seed=seed + 40) * torch.logspace(1, -2, width).double() + 0.3


def slow(rows: Tensor, change: Tensor, weight: Tensor) -> dict[str, float]:
    """One token at a time."""
    moved = read = said = 0.0
    for h in rows.double():
        moved += float(((change @ h) ** 2).sum()) / len(rows)
        read += float((h**2).sum()) / len(rows)
        said += float(((weight @ h) ** 2).sum()) / len(rows)
    size = float((change**2).sum())
    return {
        "absolute": moved,
        "relative": moved / said,
        "update_normalised": moved / (size * read),
        "alignment": rows.shape[1] * moved / (size * read),
    }


def answers(found: Drift) -> dict[str, float]:
    return {name: getattr(found, name) for name in ("absolute", "relative", "update_normalised", "alignment")}


@pytest.mark.parametrize("kind", KINDS)
def test_drift_is_the_sum_over_tokens_for_every_form_of_a_change(kind: type[SecondMoment], twins: list[Twins]) -> None:
    for twin in twins:
        outputs, width = twin.change.shape
        rows, weight = tokens(11, width), normal(outputs, width, seed=8)
        inputs = kind.of(rows)
        if not bool(twin.dense.any()):
            assert drift(inputs, twin.change).absolute == 0
            continue
        exactly = twin.change.dense().dtype == torch.float64
        wanted = slow(rows, twin.dense, weight)
        found = drift(inputs, twin.change, weight)
        assert answers(found) == pytest.approx(wanted, rel=1e-10 if exactly else 2e-5)
        assert found.change == pytest.approx(float(twin.dense.norm()), rel=1e-5)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9), seeds)
def test_a_second_moment_answers_as_the_tokens_do(count: int, outputs: int, width: int, seed: int) -> None:
    rows, change = tokens(count, width, seed), Dense(normal(outputs, width, seed=seed))
    weight = normal(outputs, width, seed=seed + 1)
    one, other = (answers(drift(kind.of(rows), change, weight)) for kind in KINDS)
    assert one == pytest.approx(other, rel=1e-6)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=4).filter(any), seeds)
def test_inputs_of_several_prompts_are_added(lengths: list[int], seed: int) -> None:
    rows, change = tokens(sum(lengths), 5, seed), Dense(normal(4, 5, seed=seed))
    for kind in KINDS:
        parts: list[Inputs] = [kind.of(part) for part in torch.split(rows, lengths)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        assert (total.tokens, total.width) == (sum(lengths), 5)
        assert total.energy(change) == pytest.approx(kind.of(rows).energy(change), rel=1e-10)
        assert total.size() == pytest.approx(float((rows**2).sum(1).mean()), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_more_tokens_than_are_widened_at_a_time_are_all_counted(kind: type[SecondMoment]) -> None:
    rows, change = tokens(2 * CHUNK_ROWS + 3, 3).float(), Dense(normal(2, 3))
    found = kind.of(rows)
    assert found.tokens == len(rows)
    wanted = float(((rows.double() @ change.dense().T) ** 2).sum(1).mean())
    assert found.energy(change) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["dense", "rank 3", "few entries", "two blocks"])
def test_inputs_without_a_preferred_direction_give_an_alignment_of_1(kind: type[SecondMoment], form: str) -> None:
    change = MAKERS[form](10, 16, torch.float64).change
    isotropic = kind.of(normal(20_000, 16, seed=3))
    assert drift(isotropic, change).alignment == pytest.approx(1, abs=0.05)
    exactly = kind.of(4 * torch.eye(16, dtype=torch.float64))
    assert drift(exactly, change).alignment == pytest.approx(1, rel=1e-12)


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), seeds)
def test_size_scales_what_it_should_and_nothing_else(step: float, loudness: float, seed: int) -> None:
    rows, change, weight = tokens(9, 6, seed), normal(4, 6, seed=seed), normal(4, 6, seed=seed + 1)
    one = drift(SecondMoment.of(rows), Dense(change), weight)
    other = drift(SecondMoment.of(loudness * rows), Scaled(step, Dense(change)), weight)
    assert other.absolute == pytest.approx(one.absolute * step**2 * loudness**2)
    assert other.relative == pytest.approx(one.relative * step**2)
    assert other.update_normalised == pytest.approx(one.update_normalised)
    assert other.alignment == pytest.approx(one.alignment)


def test_alignment_lies_between_none_and_all_of_the_inputs_on_one_direction() -> None:
    rows = torch.tensor([[2.0, 0, 0, 0], [-1.0, 0, 0, 0]])
    along, across = Dense(torch.tensor([[3.0, 0, 0, 0]])), Dense(torch.tensor([[0, 1.0, 0, 0]]))
    for kind in KINDS:
        assert drift(kind.of(rows), along).alignment == pytest.approx(4)
        assert drift(kind.of(rows), across).alignment == 0


def test_a_low_rank_is_never_formed_to_answer_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    low = LowRank(normal(300, 2), normal(2, 400, seed=1))
    monkeypatch.setattr(LowRank, "dense", lambda self: pytest.fail("the product was formed"))
    for change in (low, Scaled(0.5, low), Sum(low, Scaled(2.0, low))):
        for kind in KINDS:
            assert drift(kind.of(normal(6, 400)), change).absolute > 0


def test_rounding_leaves_no_negative_drift() -> None:
    # The inputs lie in the plane that the change annihilates; the trace of the product is a difference of roundings.
    for seed in range(30):
        directions = torch.linalg.qr(normal(12, 12, seed=seed)).Q
        rows = 1e3 * normal(40, 6, seed=seed) @ directions[:6]
        change = LowRank(normal(5, 3, seed=seed), normal(3, 6, seed=seed) @ directions[6:])
        found = drift(SecondMoment.of(rows), change)
        assert 0 <= found.alignment < 1e-12


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_inputs_of_low_precision_are_widened_before_they_are_summed(
    kind: type[SecondMoment], dtype: torch.dtype
) -> None:
    rows, change, weight = (300 * tokens(200, 8)).to(dtype), normal(5, 8), normal(5, 8, seed=2)
    found = drift(kind.of(rows), Dense(change), weight)
    assert answers(found) == pytest.approx(slow(rows, change, weight), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_in_half_precision_is_widened(kind: type[SecondMoment]) -> None:
    rows, weight = tokens(20, 8), normal(5, 8, dtype=torch.bfloat16)
    found = drift(kind.of(rows), Dense(normal(5, 8)), weight)
    assert found.said == pytest.approx(float(((rows @ weight.double().T) ** 2).sum(1).mean()), rel=1e-5)


def test_a_zero_update_moves_nothing_and_has_no_direction() -> None:
    weight = normal(3, 4)
    for change in (Dense(torch.zeros(3, 4)), LowRank(torch.zeros(3, 0), torch.zeros(0, 4))):
        found = drift(SecondMoment.of(tokens(9, 4)), change, weight)
        assert found.absolute == found.relative == 0
        for name in ("update_normalised", "alignment"):
            with pytest.raises(NotMeasurable) as caught:
                getattr(found, name)
            assert str(caught.value) == "update-normalised drift: zero update"


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_of_zero_move_nothing_and_have_no_direction(kind: type[SecondMoment]) -> None:
    found = drift(kind.of(torch.zeros(9, 4)), Dense(normal(3, 4)), normal(3, 4))
    assert found.absolute == 0
    with pytest.raises(NotMeasurable) as caught:
        _ = found.alignment
    assert str(caught.value) == "update-normalised drift: the inputs of the layer are zero on every token"
    with pytest.raises(NotMeasurable) as caught:
        _ = found.relative
    assert str(caught.value) == "relative drift: the layer of the base gives zero on every token"


def test_only_the_relative_drift_needs_the_weight() -> None:
    found = drift(SecondMoment.of(tokens(9, 4)), Dense(normal(3, 4)))
    assert found.alignment > 0
    with pytest.raises(NotMeasurable) as caught:
        _ = found.relative
    assert str(caught.value) == "relative drift: the base weight was not given"


@pytest.mark.parametrize("kind", KINDS)
def test_no_tokens_are_no_data(kind: type[SecondMoment]) -> None:
    nothing = kind.of(torch.empty(0, 4))
    for ask in (nothing.size, lambda: drift(nothing, Dense(normal(3, 4)))):
        with pytest.raises(NotMeasurable) as caught:
            ask()
        assert str(caught.value) == "drift on no tokens: give it data"


@pytest.mark.parametrize("kind", KINDS)
def test_changes_of_other_layers_and_of_vectors_are_refused(kind: type[SecondMoment]) -> None:
    inputs = kind.of(tokens(9, 4))
    changes: tuple[Delta, ...] = (Dense(normal(4, 3)), LowRank(normal(4, 1), normal(1, 3)))
    for change in changes:
        with pytest.raises(IncompatibleUpdate) as caught:
            drift(inputs, change)
        assert str(caught.value) == (
            "the change reads 3 inputs and the layer reads 4: "
            "do they belong to one layer, and is the change outputs by inputs?"
        )
    with pytest.raises(NotMeasurable) as refused:
        drift(inputs, Dense(normal(4)))
    assert str(refused.value) == "drift by a change of shape (4,): defined for matrices only"


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_that_are_not_finite_are_refused_and_their_site_named(kind: type[SecondMoment]) -> None:
    rows = tokens(9, 4)
    rows[3, 1] = torch.inf
    with pytest.raises(NotMeasurable, match=r"'model\.layers\.0\.mlp\.down_proj': 1 of 9 rows are not finite"):
        kind.of(rows, "model.layers.0.mlp.down_proj")
