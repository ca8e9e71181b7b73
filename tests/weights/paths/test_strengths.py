"""How hard layers were changed: by all angles, by relative size, by what is said on general prompts."""

from __future__ import annotations

import math

import pytest
import torch
from layers import EXACT, SERIES, adapter, base, drifting, lengths, update, upper
from twins import skewed

from holdfast.algebra.rotation import cayley, skew
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.weights.paths.strengths import Rule, drift_strengths, reference, size_strengths, turn_strengths

RULES: tuple[Rule, ...] = ("safe", "min")


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
    found = size_strengths(lengths(change), weights)
    assert list(found) == list(range(6))
    for layer, strength in found.items():
        names = [f"layers.{layer}.{module}.weight" for module in ("up", "down")]
        moved = torch.cat([change[name].dense().flatten() for name in names]).norm()
        whole = torch.cat([weights[name].flatten() for name in names]).norm()
        assert strength == pytest.approx(float(moved / whole), rel=1e-6)
    part = change.only(lambda name: name != "layers.0.up.weight")
    alone = float(change["layers.0.down.weight"].dense().norm() / weights["layers.0.down.weight"].norm())
    assert size_strengths(lengths(part), weights)[0] == pytest.approx(alone, rel=1e-6)


def test_strengths_that_are_not_defined_are_refused() -> None:
    nothing = "strengths by layer: nothing that was changed lies in a numbered layer"
    for ask in (lambda: turn_strengths({}, EXACT), lambda: size_strengths(lengths(update(0)), base(0))):
        with pytest.raises(NotMeasurable) as caught:
            ask()
        assert str(caught.value) == nothing
    with pytest.raises(IncompatibleUpdate) as missing:
        size_strengths(lengths(update(1)), {})
    assert str(missing.value) == "the update changes 'layers.0.up.weight', which this base does not have"
    with pytest.raises(NotMeasurable) as caught:
        size_strengths(lengths(update(1)), {name: 0 * weight for name, weight in base(1).items()})
    assert str(caught.value) == "the relative change of layer 0: its weights in the base are all 0"


def test_strength_by_drift_is_the_root_of_the_share_of_energies_and_that_of_a_layer_the_rms() -> None:
    found = drift_strengths(drifting({"layers.1.up": 0.04, "layers.1.down": 0.16, "layers.0.up": 0.01, "head": 0.25}))
    assert found == pytest.approx({"layers.1.up": 0.2, "layers.1.down": 0.4, "layers.0.up": 0.1, "head": 0.5} | {
        0: 0.1, 1: math.sqrt(0.1)
    })  # fmt: skip


def test_the_root_of_the_drift_grows_as_the_change_does() -> None:
    # The drift itself, a share of energies, grows as its square: half of a change has a quarter of the drift.
    weight, change = base()["layers.0.up.weight"], update()["layers.0.up.weight"].dense().double()
    hidden = torch.randn(40, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def energy(c: float) -> float:
        return float((hidden @ (c * change).T).square().sum() / (hidden @ weight.T).square().sum())

    whole, half = (drift_strengths(drifting({"layers.0.up": energy(c)}))["layers.0.up"] for c in (1.0, 0.5))
    assert half == pytest.approx(0.5 * whole)


def test_a_diagnosis_without_drift_on_general_prompts_is_refused() -> None:
    for diagnosis, why in (
        (drifting({}), ""),
        (drifting({"layers.0.up": 0.1}, role="target"), ""),
        (drifting({"head": 0.1}), ""),
        (drifting({"layers.0.up": "the layer reads nothing"}), " (the layer reads nothing)"),
    ):
        with pytest.raises(NotMeasurable) as caught:
            drift_strengths(diagnosis)
        assert str(caught.value) == (
            f"strengths by drift: the diagnosis of tuned holds no drift on general prompts inside the layers{why}; "
            "diagnose it with --general"
        )


def test_the_references_are_the_mean_of_the_first_five_layers_and_the_weakest() -> None:
    strengths: dict[int | str, float] = {9: 0.1, 0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0, 4: 5.0, "layers.0.up": 0.01}
    assert reference(strengths, "safe") == pytest.approx(3.0)
    assert reference(strengths, "safe", first=2) == pytest.approx(1.5)
    assert reference(strengths, "min") == 0.01


def test_a_mean_over_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(NotMeasurable) as caught:
        reference({0: 1.0, 1: 2.0}, "safe")
    assert str(caught.value) == (
        "the mean strength of the first 5 layers: only 2 were changed; the weakest layer is a reference for any number "
        "of them (min_scale)"
    )
