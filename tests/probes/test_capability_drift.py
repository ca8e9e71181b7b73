"""Drift of a layer is what its change does to the rows that it reads, with the spread that its prompts have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor
from twins import MAKERS, normal

from holdfast.algebra.delta import Delta, Dense
from holdfast.algebra.layer_inputs import Inputs, SecondMoment, TokenSample
from holdfast.algebra.low_rank import LowRank
from holdfast.core.diagnosis import UPDATE
from holdfast.core.errors import IncompatibleUpdate
from holdfast.core.record import Record
from holdfast.probes.capability_drift import GENERAL, TARGET, CapabilityDrift

SITE = "model.layers.0.mlp.up_proj"
WEIGHT = normal(8, 10, seed=90)
NAMES = ("absolute", "relative", "update_normalised", "alignment")


def rows(groups: int, seed: int, tokens: int = 12, width: int = 10) -> list[Tensor]:
    """What the layer reads; each group of prompts is of another size."""
    return [(1 + group / 4) * normal(tokens + group, width, seed=seed + group) for group in range(groups)]


def moments(parts: Sequence[Tensor]) -> dict[int, Inputs]:
    return {number: SecondMoment.of(part) for number, part in enumerate(parts)}


def found(
    change: Delta, inputs: Mapping[str, Mapping[int, Inputs]], weight: Tensor = WEIGHT, seed: int = 0
) -> dict[str, Record]:
    said = list(CapabilityDrift(seed=seed).measure(UPDATE, SITE, weight, change, inputs))
    assert all((one.subject, one.site, one.unit) == (UPDATE, SITE, "") for one in said)
    assert len({one.quantity for one in said}) == len(said)
    return {one.quantity: one for one in said}


def slowly(read: Tensor, change: Tensor, weight: Tensor = WEIGHT) -> dict[str, float]:
    """Token by token."""
    moved = sum(float((change @ row).square().sum()) for row in read) / len(read)
    said = sum(float((weight @ row).square().sum()) for row in read) / len(read)
    size = sum(float(row.square().sum()) for row in read) / len(read)
    normalised = moved / float(change.square().sum()) / size
    return {
        "absolute": moved,
        "relative": moved / said,
        "update_normalised": normalised,
        "alignment": read.shape[1] * normalised,
    }


@pytest.mark.parametrize("form", [name for name in MAKERS if name not in {"rank 0", "no entry"}])
@pytest.mark.parametrize("kind", [SecondMoment, TokenSample])
def test_drift_is_what_every_token_by_itself_gives(form: str, kind: type[SecondMoment | TokenSample]) -> None:
    twins, parts = MAKERS[form](8, 10, torch.float64), {GENERAL: rows(5, seed=10), TARGET: rows(3, seed=40)}
    answer = found(
        twins.change, {role: {at: kind.of(part) for at, part in enumerate(each)} for role, each in parts.items()}
    )
    wanted = {role: slowly(torch.cat(each), twins.dense) for role, each in parts.items()}
    assert set(answer) == {f"drift_{name}/{role}" for name in NAMES for role in parts} | {
        "drift_ratio_relative",
        "drift_ratio_update_normalised",
    }
    for role in parts:
        for name in NAMES:
            assert answer[f"drift_{name}/{role}"].value == pytest.approx(wanted[role][name], rel=1e-9)
    for name in ("relative", "update_normalised"):
        ratio = wanted[GENERAL][name] / wanted[TARGET][name]
        assert answer[f"drift_ratio_{name}"].value == pytest.approx(ratio, rel=1e-9)


def test_one_set_of_prompts_has_no_ratio() -> None:
    answer = found(Dense(normal(8, 10)), {TARGET: moments(rows(3, seed=1))})
    assert set(answer) == {f"drift_{name}/target" for name in NAMES}


def test_the_same_prompts_twice_have_a_ratio_of_one() -> None:
    inputs = moments(rows(4, seed=1))
    answer = found(Dense(normal(8, 10)), {GENERAL: inputs, TARGET: inputs})
    for name in ("relative", "update_normalised"):
        one = answer[f"drift_ratio_{name}"]
        assert one.value == 1
        assert one.spread is not None and one.spread[0] < 1 < one.spread[1]


def test_the_interval_is_that_of_a_bootstrap_over_groups_written_out() -> None:
    parts, change = rows(6, seed=10), normal(8, 10)
    answer = found(Dense(change), {GENERAL: moments(parts)}, seed=3)
    picked = torch.randint(6, (2000, 6), generator=torch.Generator().manual_seed(3))
    draws: dict[str, list[float]] = {name: [] for name in NAMES}
    energies = [
        [float((rows @ m.T).square().sum()) for m in (change, WEIGHT, torch.eye(10).double())] for rows in parts
    ]
    for groups in picked.tolist():
        tokens = sum(len(parts[group]) for group in groups)
        moved, said, size = (sum(energies[group][kind] for group in groups) / tokens for kind in range(3))
        normalised = moved / size / float(change.square().sum())
        for name, value in zip(NAMES, (moved, moved / said, normalised, 10 * normalised), strict=True):
            draws[name].append(value)
    for name, values in draws.items():
        one = answer[f"drift_{name}/general"]
        wanted = torch.quantile(
            torch.tensor(values, dtype=torch.float64), torch.tensor([0.025, 0.975], dtype=torch.float64)
        )
        assert one.spread == pytest.approx(tuple(wanted.tolist()), rel=1e-9)
        assert one.spread is not None and one.value is not None and one.spread[0] < one.value < one.spread[1]


def test_an_interval_hangs_on_the_seed_and_on_nothing_else() -> None:
    inputs, change = {GENERAL: moments(rows(6, seed=10))}, Dense(normal(8, 10))
    assert found(change, inputs) == found(change, inputs)
    other = found(change, inputs, seed=1)["drift_absolute/general"]
    assert other.spread != found(change, inputs)["drift_absolute/general"].spread


def test_one_group_of_prompts_has_no_interval() -> None:
    for one in found(Dense(normal(8, 10)), {GENERAL: moments(rows(1, seed=1))}).values():
        assert one.value is not None
        assert one.spread is None


@pytest.mark.parametrize("form", ["dense", "rank 0", "no entry"])
def test_a_zero_update_drifts_by_zero_in_no_direction(form: str) -> None:
    change = Dense(torch.zeros(8, 10)) if form == "dense" else MAKERS[form](8, 10, torch.float64).change
    answer = found(change, {GENERAL: moments(rows(3, seed=1)), TARGET: moments(rows(3, seed=5))})
    for role in (GENERAL, TARGET):
        for name in ("absolute", "relative"):
            assert answer[f"drift_{name}/{role}"].value == 0
            assert answer[f"drift_{name}/{role}"].spread is None
        for name in ("update_normalised", "alignment"):
            assert answer[f"drift_{name}/{role}"].reason == "update-normalised drift: zero update"
    assert answer["drift_ratio_relative"].reason == (
        "ratio of drifts: the update does not act on the target prompts at all"
    )
    assert answer["drift_ratio_update_normalised"].reason == "update-normalised drift: zero update"


def test_an_update_that_the_target_never_meets_has_no_ratio() -> None:
    met, unmet = rows(3, seed=1), [torch.cat([torch.zeros(9, 1), normal(9, 9)], dim=1) for _ in range(2)]
    change = LowRank(normal(8, 1), torch.eye(10).double()[:1])
    answer = found(change, {GENERAL: moments(met), TARGET: moments(unmet)})
    assert answer["drift_absolute/target"].value == 0
    for name in ("relative", "update_normalised"):
        one = answer[f"drift_ratio_{name}"]
        assert one.reason == "ratio of drifts: the update does not act on the target prompts at all"
        assert one.spread is None


def test_inputs_of_zero_and_weights_of_zero_have_their_reasons() -> None:
    silent = {GENERAL: moments([torch.zeros(4, 10), torch.zeros(5, 10)])}
    answer = found(Dense(normal(8, 10)), silent)
    assert answer["drift_absolute/general"].value == 0
    assert answer["drift_relative/general"].reason == (
        "relative drift: the layer of the base gives zero on every token"
    )
    assert answer["drift_alignment/general"].reason == (
        "update-normalised drift: the inputs of the layer are zero on every token"
    )
    answer = found(Dense(normal(8, 10)), {GENERAL: moments(rows(2, seed=1))}, weight=torch.zeros(8, 10))
    assert answer["drift_relative/general"].value is None
    assert answer["drift_alignment/general"].value is not None


def test_groups_without_a_token_count_for_nothing() -> None:
    parts, change = rows(3, seed=1), Dense(normal(8, 10))
    inputs = moments(parts)
    padded = {**inputs, 7: SecondMoment.of(torch.zeros(0, 10))}
    assert found(change, {GENERAL: padded}) == found(change, {GENERAL: inputs})


@pytest.mark.parametrize("groups", [{}, {0: SecondMoment.of(torch.zeros(0, 10))}], ids=["no group", "no token"])
def test_where_nothing_was_read_there_is_a_reason(groups: dict[int, Inputs]) -> None:
    answer = found(Dense(normal(8, 10)), {GENERAL: groups, TARGET: moments(rows(2, seed=1))})
    for name in NAMES:
        assert answer[f"drift_{name}/general"].reason == "drift on no tokens: give it prompts"
        assert answer[f"drift_{name}/target"].value is not None
    assert not any("ratio" in name for name in answer)


def test_a_small_update_in_half_precision_loses_nothing() -> None:
    """A merge in bfloat16 halves the drift of an update of this size."""
    read, weight = rows(2, seed=1), WEIGHT.bfloat16()
    change = LowRank((1e-3 * normal(8, 2)).bfloat16(), normal(2, 10, seed=1).bfloat16())
    wanted = slowly(torch.cat(read), change.dense().double(), weight.double())
    answer = found(change, {GENERAL: moments(read)}, weight=weight)
    for name in NAMES:
        assert answer[f"drift_{name}/general"].value == pytest.approx(wanted[name], rel=1e-5)


def test_inputs_without_a_preferred_direction_have_an_alignment_of_one() -> None:
    """1e5 isotropic tokens: five standard errors of the mean are under 0.03, so chance fails it once in a million."""
    inputs = {GENERAL: moments([normal(10_000, 10, seed=at) for at in range(10)])}
    for change in (Dense(normal(8, 10)), LowRank(normal(8, 1), normal(1, 10))):
        assert found(change, inputs)["drift_alignment/general"].value == pytest.approx(1, abs=0.03)


def test_a_change_that_reads_another_width_is_refused() -> None:
    with pytest.raises(IncompatibleUpdate, match="the change reads 9 inputs and the layer reads 10"):
        found(Dense(normal(8, 9)), {GENERAL: moments(rows(2, seed=1))})
