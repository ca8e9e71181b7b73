"""Strengths of layers are levelled, no layer is strengthened, and the step that is stated is the step that is taken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from twins import normal, skewed

from holdfast.algebra.delta import Dense
from holdfast.algebra.generator import Clock, angles_rad, eigen_sizes
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import cayley, skew
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.weights.path import Path
from holdfast.weights.paths.layerwise import (
    LayerLine,
    Rule,
    by_layer,
    drift_factors,
    factor_of,
    levelled,
    levelled_turns,
    levelling,
    reference,
    size_strengths,
    step_frac,
    turn_strengths,
    weakened,
)
from holdfast.weights.paths.rotations import turned
from holdfast.weights.update import Update

EXACT: dict[str, Any] = {"peft_type": "OFT", "use_cayley_neumann": False, "num_cayley_neumann_terms": 5}
SERIES: dict[str, Any] = EXACT | {"use_cayley_neumann": True}
RULES: tuple[Rule, ...] = ("safe", "min")
STRENGTHS = st.dictionaries(st.integers(0, 40), st.floats(1e-6, 2.0), min_size=5, max_size=12)


def upper(generator: Tensor) -> Tensor:
    rows, columns = torch.triu_indices(generator.shape[-1], generator.shape[-1], 1)
    return generator[:, rows, columns]


def adapter(layers: int = 6, scale: float = 0.02) -> dict[str, Tensor]:
    """Two modules a layer, of other widths; later layers are turned more."""
    return {
        f"base_model.model.layers.{layer}.{module}.oft_R.weight": upper(
            skewed(blocks, 4, scale * (layer + 1), seed=10 * layer + blocks)
        )
        for layer in range(layers)
        for module, blocks in (("up", 2), ("down", 3))
    }


def base(layers: int = 6) -> dict[str, Tensor]:
    sizes = (("up", 8), ("down", 12))
    modules = [(f"layers.{layer}.{name}.weight", inputs) for layer in range(layers) for name, inputs in sizes]
    return {name: normal(5, inputs, seed=number) for number, (name, inputs) in enumerate(modules)} | {
        "head.weight": normal(4, 5, seed=77)
    }


def update(layers: int = 6) -> Update:
    """Low rank within the layers, dense without."""
    return Update(
        {
            name: LowRank(0.1 * (seed + 1) * normal(5, 2, seed=seed), normal(2, weight.shape[1], seed=seed + 50))
            for seed, (name, weight) in enumerate(base(layers).items())
            if name != "head.weight"
        }
        | {"head.weight": Dense(normal(4, 5))}
    )


def test_the_strength_of_turns_is_the_rms_of_all_angles_of_a_layer() -> None:
    tensors = adapter()
    found = turn_strengths(tensors, EXACT)
    assert list(found) == list(range(6))
    for layer, strength in found.items():
        angles: list[float] = []
        for name, tensor in tensors.items():
            if f"layers.{layer}." in name:
                values = [torch.linalg.eigvals(one) for one in cayley(skew(tensor))]
                angles += [float(value) for one in values for value in one.angle()]
        assert len(angles) == 20
        assert strength == pytest.approx(math.sqrt(sum(angle**2 for angle in angles) / 20), rel=1e-9)


def test_layers_are_listed_by_their_number_and_other_modules_left_out() -> None:
    tensors = {f"layers.{layer}.up.oft_R.weight": upper(skewed(1, 4, 0.1)) for layer in (10, 2, 9)}
    extra = {"head.oft_R.weight": torch.ones(1, 6), "layers.3.up.bias": torch.ones(2)}
    assert list(turn_strengths(tensors | extra, SERIES)) == [2, 9, 10]


def test_strengths_of_shared_blocks_are_refused() -> None:
    with pytest.raises(NotMeasurable) as caught:
        turn_strengths(adapter(), EXACT | {"block_share": True})
    assert str(caught.value) == ("strengths of layers whose blocks are shared: how often each occurs is not stored")


def test_the_strength_of_other_methods_is_the_relative_size_of_what_moved_in_the_layer() -> None:
    weights, change = base(), update()
    found = size_strengths(change, weights)
    assert list(found) == list(range(6))
    for layer, strength in found.items():
        names = [f"layers.{layer}.{module}.weight" for module in ("up", "down")]
        moved = torch.cat([change[name].dense().flatten() for name in names]).norm()
        whole = torch.cat([weights[name].flatten() for name in names]).norm()
        assert strength == pytest.approx(float(moved / whole), rel=1e-6)
    part = change.only(lambda name: name != "layers.0.up.weight")
    alone = float(change["layers.0.down.weight"].dense().norm() / weights["layers.0.down.weight"].norm())
    assert size_strengths(part, weights)[0] == pytest.approx(alone, rel=1e-6)


def test_strengths_that_are_not_defined_are_refused() -> None:
    nothing = "strengths by layer: nothing that was changed lies in a numbered layer"
    for ask in (
        lambda: turn_strengths({}, EXACT),
        lambda: size_strengths(update(0), base(0)),
        lambda: by_layer({"head": 0.2}),
    ):
        with pytest.raises(NotMeasurable) as caught:
            ask()
        assert str(caught.value) == nothing
    with pytest.raises(IncompatibleUpdate) as missing:
        size_strengths(update(1), {})
    assert str(missing.value) == "the update changes 'layers.0.up.weight', which this base does not have"
    with pytest.raises(NotMeasurable) as caught:
        size_strengths(update(1), {name: 0 * weight for name, weight in base(1).items()})
    assert str(caught.value) == "the relative change of layer 0: its weights in the base are all 0"


def test_the_references_are_the_mean_of_the_first_five_layers_and_the_weakest() -> None:
    strengths = {9: 0.1, 0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0, 4: 5.0}
    assert reference(strengths, "safe") == pytest.approx(3.0)
    assert reference(strengths, "safe", first=2) == pytest.approx(1.5)
    assert reference(strengths, "min") == 0.1


def test_a_reference_that_is_not_defined_is_refused() -> None:
    with pytest.raises(NotMeasurable) as caught:
        reference({0: 1.0, 1: 2.0}, "safe")
    assert str(caught.value) == "the mean strength of the first 5 layers: only 2 were changed; ask for fewer"
    for rule in RULES:
        with pytest.raises(NotMeasurable) as caught:
            reference({0: 1.0, 7: 0.0}, rule)
        assert str(caught.value) == (
            "even strengths over depth: layer 7 is listed and did not move, so that 0 would be the weakest; leave it "
            "out"
        )


@given(STRENGTHS, st.sampled_from(RULES))
def test_no_layer_is_strengthened_and_none_is_left_above_the_reference(strengths: dict[int, float], rule: Rule) -> None:
    level = reference(strengths, rule)
    factors = levelling(strengths, level)
    assert factors.keys() == strengths.keys()
    for layer, strength in strengths.items():
        assert 0 < factors[layer] <= 1
        assert factors[layer] * strength == pytest.approx(min(strength, level), rel=1e-12)


def test_what_did_not_move_is_not_scaled() -> None:
    assert levelling({"a": 0.0, "b": 2.0}, 1.0) == {"a": 1.0, "b": 0.5}


@given(st.sampled_from((2, 5, 7)), st.sampled_from((EXACT, SERIES)))
def test_the_weakest_layer_levels_all_angles_exactly_on_the_geodesic_and_nearly_on_the_line(
    layers: int, config: dict[str, Any]
) -> None:
    tensors = adapter(layers)
    strengths = turn_strengths(tensors, config)
    level = reference(strengths, "min")
    factors = levelling(strengths, level)
    even = turn_strengths(weakened(tensors, factors, "geodesic", config=config), config)
    assert list(even.values()) == pytest.approx([level] * layers, rel=1e-10)
    # 2 arctan(c q) lies above c 2 arctan(q): the published c Q leaves strong layers a little too strong.
    line = turn_strengths(weakened(tensors, factors, "linear", config=config), config)
    assert list(line.values()) == pytest.approx([level] * layers, rel=0.1)
    assert all(line[layer] >= level * (1 - 1e-12) for layer in line)
    assert max(line.values()) > level


@pytest.mark.parametrize("clock", ["linear", "geodesic"])
def test_each_generator_is_weakened_by_its_factor_and_a_factor_of_1_leaves_the_very_tensor(clock: Clock) -> None:
    tensors = adapter(3)
    found = weakened(tensors, {0: 1.0, 1: 0.5, 2: 0.8, "layers.2.up": 0.1}, clock, config=EXACT)
    wanted = {"layers.0.": 1.0, "layers.1.": 0.5, "layers.2.down": 0.8, "layers.2.up": 0.1}
    for name, tensor in tensors.items():
        factor = next(factor for part, factor in wanted.items() if part in name)
        if factor == 1:
            assert found[name] is tensor
        elif clock == "linear":
            torch.testing.assert_close(found[name], factor * tensor)
        else:
            before, after = (angles_rad(eigen_sizes(skew(one))) for one in (tensor, found[name]))
            torch.testing.assert_close(after, factor * before, rtol=0, atol=1e-10)


def test_tensors_that_are_no_generator_are_weakened_from_where_they_began_or_refused() -> None:
    tensors = adapter(1) | {"base_model.model.layers.0.norm.weight": torch.tensor([3.0])}
    with pytest.raises(NotMeasurable, match=r"'base_model.model.layers.0.norm.weight' is no generator"):
        weakened(tensors, {0: 0.5}, config=EXACT)
    found = weakened(tensors, {0: 0.5}, config=EXACT, begun=lambda name: torch.tensor([1.0]))
    assert found["base_model.model.layers.0.norm.weight"].tolist() == [2.0]
    head = {"base_model.model.head.weight": torch.tensor([3.0])}
    assert weakened(head, {0: 0.5}, config=EXACT) == head


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("layers.1.up.weight", 0.1),
        ("layers.1.up.bias", 0.1),
        ("base_model.model.layers.1.up.oft_R.weight", 0.1),
        ("layers.1.down.weight", 0.5),
        ("layers.1.upper.weight", 0.5),
        ("layers.1.norm.weight", 0.5),
        ("head.weight", 1.0),
        ("embed.weight", 0.7),
    ],
)
def test_a_module_goes_before_its_layer_and_what_lies_outside_stays(name: str, factor: float) -> None:
    assert factor_of(name, {1: 0.5, "layers.1.up": 0.1, "embed": 0.7}) == factor


def test_a_layer_without_a_factor_is_refused() -> None:
    for ask in (lambda: factor_of("layers.2.up.weight", {1: 0.5}), lambda: LayerLine(update(3), {0: 1.0, 1: 0.5})):
        with pytest.raises(NotMeasurable) as caught:
            ask()
        assert str(caught.value) == (
            "a factor for 'layers.2.up.weight': layer 2 was not measured; measure every layer that was changed"
        )


@pytest.mark.parametrize("t", [0.0, 0.4, 1.0])
def test_the_line_goes_straight_to_the_layer_wise_point(t: float) -> None:
    factors = {layer: 1 / (layer + 1) for layer in range(6)}
    line, whole = LayerLine(update(), factors), update()
    assert isinstance(line, Path) and line.label == "layerwise"
    found = line.at(t)
    assert list(found) == list(whole)
    for name, change in found.items():
        factor = 1.0 if name == "head.weight" else 1 / (int(name.split(".")[1]) + 1)
        torch.testing.assert_close(change.dense(), t * factor * whole[name].dense())
        assert (change.factors() is not None) == (name != "head.weight")


@pytest.mark.parametrize("rule", RULES)
def test_strengths_and_step_of_an_update_are_those_of_its_dense_form(rule: Rule) -> None:
    weights, whole = base(), update()
    before = size_strengths(whole, weights)
    factors = levelling(before, reference(before, rule))
    found = levelled(whole, factors, weights)
    assert found.before == before
    for layer, strength in found.after.items():
        assert strength == pytest.approx(min(before[layer], reference(before, rule)), rel=1e-6)
    dense = {name: change.dense().double() for name, change in whole.items()}
    share = {name: factor_of(name, factors) * change for name, change in dense.items()}
    norms = [torch.cat([part.flatten() for part in parts.values()]).norm() for parts in (share, dense)]
    assert found.step_frac == pytest.approx(float(norms[0] / norms[1]), rel=1e-6)
    assert found.step_frac < 1


@pytest.mark.parametrize("config", [EXACT, SERIES])
@pytest.mark.parametrize("clock", ["linear", "geodesic"])
def test_the_step_of_turns_is_that_of_the_weights_they_make(config: dict[str, Any], clock: Clock) -> None:
    weights, tensors = base(), adapter()
    before = turn_strengths(tensors, config)
    point = weakened(tensors, levelling(before, reference(before, "safe")), clock, config=config)
    found = levelled_turns(tensors, point, config, weights)
    assert (found.before, found.after) == (before, turn_strengths(point, config))

    def length(some: Mapping[str, Tensor]) -> float:
        moved = 0.0
        for name, tensor in some.items():
            weight = weights[name.removeprefix("base_model.model.").removesuffix(".oft_R.weight") + ".weight"]
            q, one = skew(tensor), torch.eye(4, dtype=torch.float64)
            exact = torch.linalg.inv(one - q) @ (one + q)
            turn = exact if config is EXACT else exact.mT @ (one - torch.linalg.matrix_power(q, 4))
            moved += float((weight @ torch.block_diag(*turn) - weight).square().sum())
        return math.sqrt(moved)

    assert found.step_frac == pytest.approx(length(point) / length(tensors), rel=1e-9)


def test_a_step_along_nothing_is_refused() -> None:
    with pytest.raises(NotMeasurable) as caught:
        step_frac(Update({}), Update({}))
    assert str(caught.value) == "a step as a share of an update that changes nothing"
    assert step_frac(update().scaled(0.0), update()) == 0
    assert step_frac(update(), update()) == 1
    assert step_frac(turned(adapter(), EXACT, base()), turned(adapter(), EXACT, base())) == 1


DRIFT = {
    f"layers.{layer}.{module}": (layer + 1) * size
    for layer in range(6)
    for module, size in (("up", 1.0), ("down", 3.0))
}


def test_the_drift_of_a_layer_is_the_mean_of_its_modules() -> None:
    assert by_layer(DRIFT | {"head": 9.0}) == pytest.approx({layer: 2.0 * (layer + 1) for layer in range(6)})


@pytest.mark.parametrize(("rule", "level"), [("safe", 6.0), ("min", 2.0), (4.0, 4.0)])
@pytest.mark.parametrize("per", ["layer", "module"])
def test_drift_is_levelled_to_the_reference(rule: Rule | float, level: float, per: Literal["layer", "module"]) -> None:
    factors = drift_factors(DRIFT, rule, per=per)
    layers = {layer: min(1.0, level / (2.0 * (layer + 1))) for layer in range(6)}
    assert {key: value for key, value in factors.items() if isinstance(key, int)} == pytest.approx(layers)
    modules = {site: min(1.0, level / value) for site, value in DRIFT.items()} if per == "module" else {}
    assert {key: value for key, value in factors.items() if isinstance(key, str)} == pytest.approx(modules)


def test_the_drift_that_a_layer_adds_is_level_after_the_factors() -> None:
    # Measured as it is in a probe: how far outputs move by the change alone, relative to the outputs of the base.
    weights, whole = base(), update()
    inputs = {8: normal(30, 8, seed=1), 12: normal(30, 12, seed=2)}

    def drift(point: Update) -> dict[str, float]:
        found = {}
        for name, weight in weights.items():
            if name != "head.weight":
                hidden = inputs[weight.shape[1]]
                moved = (hidden @ point[name].dense().double().T).norm(dim=1).sum()
                found[name.removesuffix(".weight")] = float(moved / (hidden @ weight.T).norm(dim=1).sum())
        return found

    before = drift(whole)
    level = reference(by_layer(before), "min")
    by_module = drift(LayerLine(whole, drift_factors(before, "min", per="module")).at(1.0))
    assert all(value == pytest.approx(min(before[site], level), rel=1e-5) for site, value in by_module.items())
    line = LayerLine(whole, drift_factors(before, "min", per="layer"))
    assert list(by_layer(drift(line.at(1.0))).values()) == pytest.approx([level] * 6, rel=1e-5)
