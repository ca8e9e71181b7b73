"""Every number that is told of a weight and its change is what plain float64 gives, or there is a reason instead."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from scipy.linalg import subspace_angles
from scipy.optimize import linear_sum_assignment
from spectra import weight_with
from torch import Tensor
from twins import MAKERS, normal

from holdfast.algebra.delta import Delta, Dense
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import Rotation, skew
from holdfast.algebra.sparse import Sparse
from holdfast.algebra.spectrum import spectrum_of
from holdfast.core.diagnosis import CONTROL, UPDATE, Curve
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.core.record import Record
from holdfast.probes import weight_space
from holdfast.probes.weight_space import WeightSpace, noted, random_change
from holdfast.weights.checkpoint import read_full

PROBE = WeightSpace(subspaces=(2, 3, 8), intruders=4)
SHAPES = ((14, 10), (10, 14), (12, 12))
SITE = "model.layers.0.mlp.up_proj"


def stored(folder: Path, weight: Tensor, change: Tensor) -> Delta:
    for name, tensor in (("base", weight), ("tuned", weight + change)):
        (folder / name).mkdir(parents=True)
        save_file({"w": tensor.contiguous()}, folder / name / "model.safetensors")
    return read_full(folder / "base", folder / "tuned")["w"]


def forms(folder: Path, weight: Tensor) -> dict[str, Delta]:
    """Changes of a weight, in every form that an update may have."""
    outputs, inputs = weight.shape
    positions = torch.randperm(outputs * inputs, generator=torch.Generator().manual_seed(3))[:30]
    upper = 0.1 * normal(2, (inputs // 2) * (inputs // 2 - 1) // 2, seed=4)
    return {
        "dense": Dense(0.3 * normal(outputs, inputs, seed=8)),
        "low rank": LowRank(0.5 * normal(outputs, 2, seed=5), normal(2, inputs, seed=6)),
        "sparse": Sparse(positions, normal(30, seed=7), (outputs, inputs)),
        "rotation": Rotation(weight, skew(upper)),
        "stored difference": stored(folder, weight, 0.3 * normal(outputs, inputs, seed=8)),
    }


def found(weight: Tensor, change: Delta, probe: WeightSpace = PROBE) -> dict[str, Record]:
    said = probe.measure(UPDATE, SITE, weight, change, spectrum_of(weight))
    records = [one for one in said if isinstance(one, Record)]
    assert all((one.subject, one.site) == (UPDATE, SITE) for one in records)
    assert len({one.quantity for one in records}) == len(records)
    return {one.quantity: one for one in records}


def curves(weight: Tensor, change: Delta) -> dict[str, Curve]:
    said = PROBE.measure(UPDATE, SITE, weight, change, spectrum_of(weight))
    return {one.quantity: one for one in said if isinstance(one, Curve)}


def smoothness(curve: np.ndarray) -> float:
    padded = np.pad(curve, 2, mode="reflect")
    return float(np.mean([abs(curve[i] - padded[i : i + 5].mean()) for i in range(len(curve))]))


def slowly(weight: Tensor, change: Tensor) -> dict[str, float]:
    """All quantities by plain numpy and scipy."""
    w0, dw = weight.double().numpy(), change.double().numpy()
    (u0, s0, v0), (u1, s1, v1) = (np.linalg.svd(w, full_matrices=False) for w in (w0, w0 + dw))
    s = np.linalg.svd(dw, compute_uv=False)
    share = s[s > 0] / s.sum()
    retention = np.array([abs(u0[:, i] @ dw @ v0[i]) for i in range(len(s0))])
    adaptation = np.array([np.linalg.norm(dw @ v0[i]) for i in range(len(s0))])
    cosines, seen = abs(v0 @ v1.T), (adaptation**2).sum()
    pairs = linear_sum_assignment(-cosines)
    values = {
        "relative_size_frobenius": np.linalg.norm(dw) / np.linalg.norm(w0),
        "relative_size_spectral": s[0] / s0[0],
        "stable_rank": (s**2).sum() / s[0] ** 2,
        "entropy_rank": math.exp(-(share * np.log(share)).sum()),
        "energy_seen_frac": seen / np.linalg.norm(dw) ** 2,
        "diagonal_frac": (retention**2).sum() / seen,
        "singular_value_change": np.linalg.norm(s1 - s0) / np.linalg.norm(s0),
        "singular_value_peak": abs(s1 - s0).max() / s0[0],
        "alignment_mean": np.diag(cosines).mean(),
        "alignment_min": np.diag(cosines).min(),
        "matched_alignment_mean": cosines[pairs].mean(),
        "intruders/left": sum(abs(u0.T @ u1[:, j]).max() < 0.5 for j in range(4)),
        "intruders/right": sum(abs(v0 @ v1[j]).max() < 0.5 for j in range(4)),
    }
    for name, curve in (("retention", retention), ("adaptation", adaptation)):
        values[f"fluctuation_{name}"] = smoothness(curve)
        values[f"relative_fluctuation_{name}"] = smoothness(curve) / curve.mean()
    for side, k in product(("left", "right"), (2, 3)):
        before, after = (u0[:, :k], u1[:, :k]) if side == "left" else (v0[:k].T, v1[:k].T)
        apart = before @ before.T - after @ after.T
        values[f"largest_angle_rad/{side}/{k}"] = subspace_angles(before, after).max()
        values[f"subspace_distance/{side}/{k}"] = np.linalg.norm(apart) / math.sqrt(2 * k)
    return {name: float(value) for name, value in values.items()}


@pytest.mark.parametrize("form", ["dense", "low rank", "sparse", "rotation", "stored difference"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_quantity_is_what_plain_float64_gives(tmp_path: Path, shape: tuple[int, int], form: str) -> None:
    weight = normal(*shape)
    change = forms(tmp_path, weight)[form]
    answer, wanted = found(weight, change), slowly(weight, change.dense())
    undefined = {
        f"{name}/{side}/8" for name in ("largest_angle_rad", "subspace_distance") for side in ("left", "right")
    }
    assert set(answer) == set(wanted) | undefined
    for name, value in wanted.items():
        assert answer[name].value == pytest.approx(value, rel=1e-7, abs=1e-7), name
    for name in undefined:
        assert answer[name].value is None
        assert answer[name].reason == (
            f"the leading 8 directions of a weight of shape {shape}: the count must lie between 1 and half of its "
            f"smaller side, {min(shape) // 2}"
        )


@pytest.mark.parametrize("form", [name for name in MAKERS if name not in {"rank 0", "no entry"}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_less_precise_tensors_give_the_same_as_far_as_they_go(form: str, dtype: torch.dtype) -> None:
    twins = MAKERS[form](12, 10, dtype)
    weight = normal(12, 10, seed=9).to(dtype)
    answer = found(weight, twins.change)
    wanted = slowly(weight.double(), twins.dense)
    for name in (
        "relative_size_frobenius",
        "stable_rank",
        "energy_seen_frac",
        "diagonal_frac",
        "fluctuation_adaptation",
    ):
        assert answer[name].value == pytest.approx(wanted[name], rel=1e-4), name


def test_angles_have_their_unit_and_no_other_quantity_has_one() -> None:
    weight = normal(12, 12)
    for name, one in found(weight, Dense(normal(12, 12, seed=1))).items():
        assert one.unit == ("rad" if "angle" in name and one.value is not None else "")
        assert (one.spread, one.seed) == (None, None)


@pytest.mark.parametrize("form", ["dense", "low rank", "sparse", "rotation", "stored difference"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_curves_are_profiles_over_the_largest_singular_value(tmp_path: Path, shape: tuple[int, int], form: str) -> None:
    weight = normal(*shape)
    change = forms(tmp_path, weight)[form]
    u0, s0, v0 = np.linalg.svd(weight.numpy(), full_matrices=False)
    dense, drawn = change.dense().numpy(), curves(weight, change)
    assert drawn["retention"].values == pytest.approx(
        [abs(u0[:, i] @ dense @ v0[i]) / s0[0] for i in range(len(s0))], abs=1e-9
    )
    assert drawn["adaptation"].values == pytest.approx(
        [np.linalg.norm(dense @ v0[i]) / s0[0] for i in range(len(s0))], abs=1e-9
    )


ZERO = {
    "stable_rank": "stable rank of a zero update is undefined: nothing was changed",
    "entropy_rank": "entropy rank of a zero update is undefined: nothing was changed",
    "energy_seen_frac": "energy seen of a zero update is undefined: nothing was changed",
    "diagonal_frac": "diagonal share of a zero update is undefined: nothing was changed",
    **{
        f"relative_fluctuation_{name}": (
            "relative fluctuation of a profile that is 0 throughout is undefined: was the update zero?"
        )
        for name in ("retention", "adaptation")
    },
}


@pytest.mark.parametrize("form", ["dense", "rank 0", "no entry", "rotation by nothing"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_zero_update_gives_zeros_and_reasons(form: str, dtype: torch.dtype) -> None:
    weight = normal(14, 10).to(dtype)
    change: Delta = {
        "dense": Dense(torch.zeros(14, 10)),
        "rank 0": LowRank(torch.zeros(14, 0), torch.zeros(0, 10)),
        "no entry": Sparse(torch.zeros(0, dtype=torch.long), torch.zeros(0), (14, 10)),
        "rotation by nothing": Rotation(weight, torch.zeros(2, 5, 5, dtype=dtype)),
    }[form]
    answer = found(weight, change)
    for name, one in answer.items():
        if name in ZERO:
            assert (one.value, one.reason) == (None, ZERO[name])
        elif one.value is not None:
            assert one.value == pytest.approx(1.0 if "alignment" in name else 0.0, abs=2e-6), name
    assert all(set(curve.values) == {0.0} for curve in curves(weight, change).values())


def test_beside_a_weight_of_zeros_there_is_nothing_to_compare_with() -> None:
    answer = found(torch.zeros(14, 10), Dense(normal(14, 10)))
    zero = "the weight itself is zero, and nothing is large or small beside it"
    for name in ("relative_size_frobenius", "relative_size_spectral"):
        assert answer[name].reason == f"relative size of an update: {zero}"
    for name in ("singular_value_change", "singular_value_peak"):
        assert answer[name].reason == f"singular value change: {zero}"
    assert answer["stable_rank"].value is not None
    assert curves(torch.zeros(14, 10), Dense(normal(14, 10))) == {}


def test_short_profiles_have_no_fluctuation() -> None:
    answer = found(normal(4, 9), Dense(normal(4, 9, seed=1)), WeightSpace(subspaces=(1,), intruders=4))
    for name in ("retention", "adaptation"):
        assert (
            answer[f"fluctuation_{name}"].reason == "fluctuation of a profile of 4 points: the moving average takes 5"
        )


def test_more_leading_vectors_than_there_are_have_a_reason() -> None:
    answer = found(normal(4, 9), Dense(normal(4, 9, seed=1)), WeightSpace(subspaces=()))
    assert answer["intruders/left"].reason == "the leading 10 directions of a weight of shape (4, 9): 4 are known"


@given(st.floats(1e-6, 1e3))
def test_shape_does_not_hang_on_size(factor: float) -> None:
    weight, change = normal(12, 10), normal(12, 10, seed=3)
    one, other = found(weight, Dense(change)), found(weight, Dense(factor * change))
    for name in ("stable_rank", "entropy_rank", "energy_seen_frac", "diagonal_frac", "relative_fluctuation_retention"):
        assert other[name].value == pytest.approx(one[name].value, rel=1e-6)
    for name in ("relative_size_frobenius", "relative_size_spectral", "fluctuation_adaptation"):
        assert other[name].value == pytest.approx(factor * (one[name].value or 0), rel=1e-6)


def test_a_change_in_a_new_direction_is_an_intruder() -> None:
    weight = normal(96, 96) / math.sqrt(96)
    left, right = (part / part.norm() for part in (normal(96, 1, seed=11), normal(1, 96, seed=12)))
    for size, wanted in ((0.01, 0), (4.0, 1)):
        answer = found(weight, LowRank(size * left, right))
        assert (answer["intruders/left"].value, answer["intruders/right"].value) == (wanted, wanted)
    assert found(weight, LowRank(left, right))["stable_rank"].value == pytest.approx(1)


LARGE = weight_with([40 - i / 4 for i in range(120)], 128, 120)


@pytest.mark.parametrize("form", ["dense", "low rank", "sparse", "rotation"])
def test_of_large_weights_the_leading_directions_are_followed(tmp_path: Path, form: str) -> None:
    change = forms(tmp_path, LARGE)[form]
    whole = found(LARGE, change, WeightSpace(subspaces=(2, 3), intruders=2))
    leading = found(LARGE, change, WeightSpace(subspaces=(2, 3), intruders=2, whole_up_to=119))
    assert set(whole) == set(leading)
    for name, one in leading.items():
        if name in {"singular_value_change", "singular_value_peak"}:
            assert one.reason == (
                "singular value change takes all 120 singular values of a weight of shape (128, 120), and 3 are known: "
                "take its whole spectrum"
            )
        elif "alignment" not in name:
            assert one.value == pytest.approx(whole[name].value, rel=1e-4, abs=1e-5), name


def test_directions_that_do_not_hold_still_are_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def restless(*args: object) -> None:
        raise NotMeasurable("after 200 rounds the residual is too large")

    names = set(found(LARGE, Dense(LARGE), WeightSpace(subspaces=(2,), intruders=2)))
    monkeypatch.setattr(weight_space, "leading_tuned_spectrum", restless)
    answer = found(LARGE, Dense(LARGE), WeightSpace(subspaces=(2,), intruders=2, whole_up_to=1))
    assert set(answer) == names
    assert {one.reason for one in answer.values() if one.value is None} == {
        "after 200 rounds the residual is too large"
    }
    assert answer["relative_size_frobenius"].value == pytest.approx(1)


def test_where_turning_is_not_asked_for_nothing_is_decomposed(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, change = normal(14, 10), LowRank(normal(14, 2, seed=5), normal(2, 10, seed=6))
    whole = found(weight, change)
    monkeypatch.setattr(weight_space, "tuned_spectrum", None)
    brief = found(weight, change, WeightSpace(turned=False))
    assert brief == {name: one for name, one in whole.items() if name in brief}
    assert {"stable_rank", "entropy_rank", "relative_size_spectral", "energy_seen_frac"} <= set(brief)
    turning = ("singular_value", "alignment", "matched", "intruders", "largest_angle", "subspace")
    assert {name for name in whole if name not in brief} == {name for name in whole if name.startswith(turning)}


def test_a_change_that_is_not_finite_is_refused() -> None:
    change = torch.zeros(14, 10)
    change[1, 1] = torch.inf
    with pytest.raises(NotMeasurable, match="it has entries that are not finite"):
        found(normal(14, 10), Dense(change))


def test_a_change_of_another_shape_is_refused() -> None:
    with pytest.raises(IncompatibleUpdate, match=r"the change has shape \(10, 14\)"):
        found(normal(14, 10), Dense(normal(10, 14)))


@pytest.mark.parametrize("form", MAKERS)
def test_the_random_control_has_the_size_of_the_update_and_no_preference(form: str) -> None:
    change = MAKERS[form](12, 10, torch.float32).change
    control = random_change(change, seed=5)
    assert control.shape == (12, 10)
    assert control.norm() == pytest.approx(change.norm(), rel=1e-6)
    assert torch.equal(control.dense(), random_change(change, seed=5).dense())
    if change.norm() > 0:
        assert not torch.equal(control.dense(), random_change(change, seed=6).dense())


def test_drawing_the_control_leaves_chance_elsewhere_alone() -> None:
    before = torch.random.get_rng_state()
    random_change(Dense(normal(12, 10)), seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_control_is_full_of_rank_however_few_directions_the_update_has() -> None:
    weight, change = normal(40, 40), LowRank(normal(40, 1), normal(1, 40))
    said: Iterable[Record | Curve] = PROBE.measure(CONTROL, SITE, weight, random_change(change, 0), spectrum_of(weight))
    control = {one.quantity: one for one in said if isinstance(one, Record)}
    assert {one.subject for one in control.values()} == {CONTROL}
    assert (control["stable_rank"].value or 0) > 8
    assert control["relative_size_frobenius"].value == pytest.approx(
        found(weight, change)["relative_size_frobenius"].value
    )


def test_a_note_is_a_number_or_the_reason() -> None:
    def refuse() -> float:
        raise NotMeasurable("because")

    assert noted("s", "q", "here", lambda: 1.5, "rad") == Record(
        subject="s", quantity="q", site="here", value=1.5, unit="rad"
    )
    assert noted("s", "q", "here", refuse, "rad") == Record(subject="s", quantity="q", site="here", reason="because")
    with pytest.raises(ZeroDivisionError):
        noted("s", "q", "here", lambda: 1 / 0)
