"""What is told of activations at one module is what its rows give, with nulls, halves and intervals over prompts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.linalg import orthogonal_procrustes, subspace_angles
from spectra import orthonormal
from torch import Tensor
from twins import normal

from holdfast.algebra.moments import Moments, pooled
from holdfast.algebra.similarity import cka_unbiased
from holdfast.core.diagnosis import UPDATE
from holdfast.core.record import Record
from holdfast.probes.activation_geometry import ActivationGeometry

SITE = "model.layers.1.mlp.down_proj"
PROBE = ActivationGeometry(subspaces=(2, 12))
WIDTH = 6
Pairs = list[tuple[Tensor, Tensor]]


def pairs(groups: int, by: float = 0.4) -> Pairs:
    """Rows before and after, group by group of prompts."""
    stretch = torch.linspace(3, 1, WIDTH, dtype=torch.float64)
    before = [normal(15 + at, WIDTH, seed=at) * stretch + 1 for at in range(groups)]
    return [(rows, rows + by * normal(len(rows), WIDTH, seed=100 + at)) for at, rows in enumerate(before)]


def found(parts: Pairs, probe: ActivationGeometry = PROBE, sample: int | None = 20) -> dict[str, Record]:
    groups = {at: Moments.of(*part) for at, part in enumerate(parts)}
    before, after = (torch.cat(side) for side in zip(*parts, strict=True))
    rows = None if sample is None else (before[:sample], after[:sample])
    said = list(probe.measure(UPDATE, SITE, "general", groups, rows))
    assert all((one.subject, one.site) == (UPDATE, SITE) for one in said)
    assert all(one.quantity.endswith("/general") for one in said)
    assert len({one.quantity for one in said}) == len(said)
    answer = {one.quantity.removesuffix("/general"): one for one in said}
    assert answer.pop("rows_per_dimension").value == sum(len(rows) for rows, _ in parts) / parts[0][0].shape[1]
    return answer


def debiased(before: np.ndarray, after: np.ndarray) -> float:
    """Unbiased CKA from the kernels written out."""
    n = len(before)

    def dependence(k: np.ndarray, m: np.ndarray) -> float:
        k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
        middle = k.sum() * m.sum() / ((n - 1) * (n - 2))
        return float((np.trace(k @ m) + middle - 2 / (n - 2) * (k @ m).sum()) / (n * (n - 3)))

    k, m = before @ before.T, after @ after.T
    return dependence(k, m) / math.sqrt(dependence(k, k) * dependence(m, m))


def slowly(before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """All measures by plain numpy and scipy."""
    centred = [side - side.mean(0) for side in (before, after)]
    lengths = [np.linalg.norm(side, axis=1) for side in (before, after)]
    cosines = (before * after).sum(1) / lengths[0] / lengths[1]
    ratios, whole = lengths[1] / lengths[0], np.linalg.norm(centred[0])
    rotation, nuclear = orthogonal_procrustes(centred[1], centred[0])
    raw = np.linalg.norm(centred[1] - centred[0]) / whole
    residual = np.linalg.norm(centred[1] @ rotation - centred[0]) / whole
    scale = nuclear / np.linalg.norm(centred[1]) ** 2
    scaled = np.linalg.norm(scale * centred[1] @ rotation - centred[0]) / whole
    cross, own = (np.linalg.norm(centred[0].T @ centred[1]), [np.linalg.norm(side.T @ side) for side in centred])
    leading = [np.linalg.svd(side, full_matrices=False)[2][:2].T for side in centred]
    values = {
        "mean_cosine": cosines.mean(),
        "cosine_drift": (1 - cosines).mean(),
        "angular_drift_rad": np.arccos(cosines).mean(),
        "median_angular_drift_rad": np.median(np.arccos(cosines)),
        "norm_ratio": ratios.mean(),
        "norm_ratio_deviation": ratios.std(),
        "norm_drift": abs(np.log(ratios)).mean(),
        "raw_residual": raw,
        "procrustes_residual": residual,
        "procrustes_improvement": raw - residual,
        "scaled_procrustes_residual": scaled,
        "scaled_procrustes_improvement": raw - scaled,
        "best_scale": scale,
        "shape_distance": math.sqrt(2 - 2 * nuclear / whole / np.linalg.norm(centred[1])),
        "cka_biased": cross**2 / own[0] / own[1],
        "cka_unbiased": debiased(before, after),
        "subspace_distance_k2": math.sqrt((np.sin(subspace_angles(*leading)) ** 2).mean()),
    }
    return {name: float(value) for name, value in values.items()}


def all_rows(parts: Pairs) -> tuple[np.ndarray, np.ndarray]:
    before, after = (torch.cat(side).numpy() for side in zip(*parts, strict=True))
    return before, after


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_every_measure_is_what_the_rows_at_once_give(groups: int) -> None:
    parts = pairs(groups)
    answer, wanted = found(parts), slowly(*all_rows(parts))
    others = {"subspace_distance_k12", "held_out_procrustes_residual", "gram_cosine_distance"}
    assert set(answer) == set(wanted) | others
    for name, value in wanted.items():
        assert answer[name].value == pytest.approx(value, rel=1e-8, abs=1e-10), name
        assert answer[name].unit == ("rad" if name.endswith("_rad") else "")


def test_a_subspace_as_wide_as_the_rows_is_a_reason() -> None:
    one = found(pairs(4))["subspace_distance_k12"]
    assert (one.value, one.spread) == (None, None)
    assert one.reason == (
        "subspaces of dimension 12 in rows of width 6: choose 1 to 5; at the full width there is only one"
    )


def test_the_distance_of_all_pairs_is_that_of_the_sample() -> None:
    parts = pairs(3)
    before, after = (side[:20] for side in all_rows(parts))
    grams = [(unit := side / np.linalg.norm(side, axis=1, keepdims=True)) @ unit.T for side in (before, after)]
    wanted = np.linalg.norm(grams[1] - grams[0]) / np.linalg.norm(grams[0])
    assert found(parts)["gram_cosine_distance"].value == pytest.approx(wanted, rel=1e-10)
    assert "gram_cosine_distance" not in found(parts, sample=None)


def test_the_held_out_residual_is_of_a_rotation_fitted_on_the_other_half() -> None:
    parts = pairs(5)
    fitted, tested = ([side - side.mean(0) for side in all_rows(half)] for half in (parts[::2], parts[1::2]))
    rotation, _ = orthogonal_procrustes(fitted[1], fitted[0])
    wanted = np.linalg.norm(tested[1] @ rotation - tested[0]) / np.linalg.norm(tested[0])
    one = found(parts)["held_out_procrustes_residual"]
    assert one.value == pytest.approx(wanted, rel=1e-6)
    assert one.spread is None


def test_one_group_of_prompts_has_no_half_to_be_held_out() -> None:
    one = found(pairs(1))["held_out_procrustes_residual"]
    assert one.reason == ("held-out residual: a rotation is fitted on one half of the prompts, and there is only one")


def test_a_model_against_itself_gives_every_null_exactly() -> None:
    answer = found(pairs(6, by=0.0))
    for name in ("mean_cosine", "norm_ratio", "best_scale", "cka_biased", "cka_unbiased"):
        assert answer[name].value == pytest.approx(1, abs=1e-12)
    for name, one in answer.items():
        if one.value is not None and name not in {
            "mean_cosine",
            "norm_ratio",
            "best_scale",
            "cka_biased",
            "cka_unbiased",
        }:
            assert one.value == pytest.approx(0, abs=1e-7), name


def test_a_rotation_of_everything_is_seen_by_pairs_and_not_by_relations() -> None:
    turn = orthonormal(WIDTH, WIDTH, seed=5)
    answer = found([(before, before @ turn) for before, _ in pairs(6)])
    for name in ("procrustes_residual", "held_out_procrustes_residual", "gram_cosine_distance", "shape_distance"):
        assert answer[name].value == pytest.approx(0, abs=1e-7)
    assert (answer["cka_biased"].value, answer["cka_unbiased"].value) == pytest.approx((1, 1))
    assert (answer["raw_residual"].value or 0) > 0.5


def test_a_scale_of_everything_is_named_as_one() -> None:
    answer = found([(before, 2 * before) for before, _ in pairs(6)])
    assert answer["best_scale"].value == pytest.approx(0.5)
    assert answer["shape_distance"].value == pytest.approx(0, abs=1e-7)
    assert answer["raw_residual"].value == pytest.approx(1)
    assert answer["norm_ratio"].value == pytest.approx(2)


@pytest.mark.parametrize("groups", [1, 3])
def test_few_groups_have_no_interval(groups: int) -> None:
    assert all(one.spread is None for one in found(pairs(groups)).values())


def test_the_interval_is_that_of_a_jackknife_over_groups_written_out() -> None:
    parts = pairs(5)
    answer = found(parts)
    left_out = [slowly(*all_rows([part for other, part in enumerate(parts) if other != at])) for at in range(5)]
    for name in left_out[0]:
        values = np.array([each[name] for each in left_out])
        reach = stats.t.ppf(0.975, 4) * np.sqrt(4 / 5 * ((values - values.mean()) ** 2).sum())
        value = answer[name].value
        assert answer[name].spread == pytest.approx((value - reach, value + reach), rel=1e-5, abs=1e-8), name


def test_rows_that_have_nothing_to_do_with_each_other_have_a_cka_of_zero_inside_its_interval() -> None:
    groups = [(normal(32, 24, seed=2 * at), normal(32, 24, seed=2 * at + 1)) for at in range(20)]
    spread = found(groups, ActivationGeometry(subspaces=(2,)))["cka_unbiased"].spread
    assert spread is not None and spread[0] < 0 < spread[1]
    # A bootstrap counts groups twice, which CKA takes for structure: all of its draws lie above 0.
    draw = torch.Generator().manual_seed(0)
    parts = [Moments.of(*group) for group in groups]
    redrawn = [
        cka_unbiased(pooled([parts[at] for at in torch.randint(20, (20,), generator=draw).tolist()])) for _ in range(60)
    ]
    assert min(redrawn) > 0


def test_intervals_may_be_left_out() -> None:
    assert all(
        one.spread is None for one in found(pairs(5), ActivationGeometry(subspaces=(2,), intervals=False)).values()
    )


def test_rows_that_do_not_vary_have_reasons_and_no_number_that_is_none() -> None:
    still = torch.ones(12, WIDTH, dtype=torch.float64)
    answer = found([(still, 2 * still)] * 5, sample=12)
    assert answer["norm_ratio"].value == 2
    assert answer["cka_unbiased"].reason == "all 60 rows before the change are the same: nothing varies"
    assert answer["held_out_procrustes_residual"].reason == (
        "all 36 rows before the change are the same: nothing varies"
    )
    assert all(one.value is None or math.isfinite(one.value) for one in answer.values())


def test_rows_of_zeros_have_no_direction() -> None:
    rows = normal(12, WIDTH)
    rows[3] = 0
    answer = found([(rows, rows + 1)], sample=12)
    assert answer["mean_cosine"].reason == "1 of 12 rows are zero and have no direction"
    assert answer["gram_cosine_distance"].reason == "1 of 12 rows are zero and have no direction"
    assert answer["cka_biased"].value is not None


def test_activations_of_a_million_stay_finite() -> None:
    answer = found([(1e6 * before, 1e6 * after) for before, after in pairs(5)])
    wanted = found(pairs(5))
    for name in ("cka_unbiased", "procrustes_residual", "gram_cosine_distance", "angular_drift_rad"):
        assert answer[name].value == pytest.approx(wanted[name].value, rel=1e-6)
