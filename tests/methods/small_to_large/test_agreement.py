"""Two plans of one model are compared by the order of their scores and by what they chose, each beside controls."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from holdfast.core.errors import HoldfastError
from holdfast.core.parameter_plan import ParameterPlan, PlannedTensor
from holdfast.core.record import Record
from holdfast.methods.small_to_large.agreement import GROUPS, agreement


def plan(scores: dict[str, float | None], chosen: set[str] | None = None) -> ParameterPlan:
    best = sorted(scores, key=lambda name: -(scores[name] or 0))[: len(scores) // 3]
    picked = set(best) if chosen is None else chosen
    tensors = tuple(PlannedTensor(name=n, params=1, chosen=n in picked, score=s) for n, s in scores.items())
    return ParameterPlan(task="t", method="m", seed=0, model_params=9, model_tensors=9, tensors=tensors)


def by_name(records: tuple[Record, ...]) -> dict[tuple[str, str], Record]:
    return {(record.subject, record.quantity): record for record in records}


def drawn(seed: int, layers: int = 8, kinds: str = "abcd") -> dict[str, float | None]:
    rng = np.random.default_rng(seed)
    return {f"h.{layer}.{kind}": float(rng.normal()) for layer in range(layers) for kind in kinds}


def test_values_are_those_of_the_definitions() -> None:
    one, other = drawn(0), drawn(1)
    del one["h.0.a"], other["h.3.b"]
    mine, own = plan(one), plan(other)
    found = by_name(agreement(mine, own, permutations=50))
    common = [name for name in one if name in other]
    wanted = stats.spearmanr([one[n] for n in common], [other[n] for n in common]).statistic
    assert found["plan", "spearman"].value == pytest.approx(wanted)
    sets = [{tensor.name for tensor in each.chosen} for each in (mine, own)]
    assert found["plan", "jaccard"].value == pytest.approx(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))
    assert found["plan", "common_tensors"].value == 30
    assert found["plan", "tensors_only_here"].value == found["own", "tensors_only_here"].value == 1


def test_controls_are_those_of_all_shuffles() -> None:
    one = {"h.0.a": 3.0, "h.0.b": 2.0, "h.1.a": 1.0, "h.1.b": 0.0}
    own = {"h.0.a": 4.0, "h.0.b": 1.0, "h.1.a": 3.0, "h.1.b": 2.0}
    found = by_name(agreement(plan(one, {"h.0.a", "h.0.b"}), plan(own, {"h.0.a", "h.1.a"}), permutations=20_000))
    for control in GROUPS:
        kept = {"random": lambda name: 0, "same_depth_profile": lambda name: name[2]}.get(control, lambda name: name[4])
        allowed = [
            order for order in permutations(one) if all(kept(a) == kept(b) for a, b in zip(one, order, strict=True))
        ]
        rhos = [stats.spearmanr([one[name] for name in order], list(own.values())).statistic for order in allowed]
        overlaps = []
        for order in allowed:
            there = {place for place, name in zip(one, order, strict=True) if name in {"h.0.a", "h.0.b"}}
            overlaps.append(len(there & {"h.0.a", "h.1.a"}) / len(there | {"h.0.a", "h.1.a"}))
        assert found[control, "spearman"].value == pytest.approx(np.mean(rhos), abs=0.02)
        assert found[control, "jaccard"].value == pytest.approx(np.mean(overlaps), abs=0.02)
        rho = stats.spearmanr(list(one.values()), list(own.values())).statistic
        share = np.mean(np.array(rhos) >= rho - 1e-9)
        assert found[control, "permutation_p/spearman"].value == pytest.approx(share, abs=0.02)
        spread = found[control, "spearman"].spread
        assert spread is not None
        assert min(rhos) - 1e-9 <= spread[0] <= spread[1] <= max(rhos) + 1e-9


def test_a_plan_agrees_with_itself_and_better_than_chance() -> None:
    found = by_name(agreement(plan(drawn(0)), plan(drawn(0)), permutations=500))
    for quantity in ("spearman", "jaccard"):
        assert found["plan", quantity].value == pytest.approx(1.0)
        for control in GROUPS:
            assert found[control, f"permutation_p/{quantity}"].value == pytest.approx(1 / 501)
            spread = found[control, quantity].spread
            assert spread is not None
            assert spread[1] < 1


def test_what_depth_alone_says_is_seen_in_its_control() -> None:
    deep = {name: (float(name.split(".")[1]) if score else 0.0) for name, score in drawn(0).items()}
    found = by_name(agreement(plan(deep), plan(deep), permutations=200))
    assert found["same_depth_profile", "spearman"].value == pytest.approx(1.0)
    assert found["same_depth_profile", "permutation_p/spearman"].value == 1.0
    assert found["random", "permutation_p/spearman"].value == pytest.approx(1 / 201)
    assert found["same_type_profile", "permutation_p/spearman"].value == pytest.approx(1 / 201)


def test_the_same_seed_gives_the_same_shuffles() -> None:
    pair = plan(drawn(0)), plan(drawn(1))
    assert agreement(*pair, permutations=20) == agreement(*pair, permutations=20)
    assert agreement(*pair, permutations=20) != agreement(*pair, permutations=20, seed=1)


def test_what_is_undefined_has_a_reason() -> None:
    bare = plan(dict.fromkeys(drawn(0)), {"h.0.a"})
    found = by_name(agreement(bare, plan(drawn(1)), permutations=9))
    for subject in ("plan", *GROUPS):
        assert found[subject, "spearman"].reason == (
            "undefined: a plan has no scores, so that there is no order to compare"
        )
        assert found[subject, "jaccard"].value is not None
    found = by_name(agreement(plan(drawn(0), set()), plan(drawn(1), set()), permutations=9))
    assert found["plan", "jaccard"].reason == "undefined: neither plan has chosen a tensor"
    two = {"h.0.a": 1.0, "h.1.a": 2.0}
    assert by_name(agreement(plan(two), plan(two), permutations=9))["plan", "spearman"].reason == (
        "undefined: an order needs 3 tensors that are in both plans, found 2"
    )
    flat = dict.fromkeys(drawn(0), 1.0)
    assert by_name(agreement(plan(flat), plan(drawn(0)), permutations=9))["plan", "spearman"].reason == (
        "undefined: all tensors of a plan have the same score, so that there is no order"
    )


def test_plans_of_different_models_are_refused() -> None:
    with pytest.raises(HoldfastError) as caught:
        agreement(plan({"a.0.w": 1.0}), plan({"b.0.w": 1.0}))
    assert str(caught.value) == (
        "the two plans share no tensor (one begins with 'a.0.w', the other with 'b.0.w'): are they of the same model?"
    )


@pytest.mark.parametrize("options", [{"permutations": 0}, {"level": 1.0}, {"level": 0.0}])
def test_intervals_that_cannot_be_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="permutations from 1 and a level within 0 and 1 are needed"):
        agreement(plan(drawn(0)), plan(drawn(1)), **options)
