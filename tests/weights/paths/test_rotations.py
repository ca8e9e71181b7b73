"""Orthogonal adapters at points of their paths, held against peft's own layers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft.tuners.oft.layer import OFTRotationModule
from safetensors.torch import load_file, save_file
from torch import Tensor
from twins import normal, skewed

from holdfast.algebra.generator import Clock, clocked_sizes, eigen_sizes, neumann
from holdfast.algebra.rotation import Rotation, cayley, orthogonality_defect, skew
from holdfast.core.errors import DamagedCheckpoint, IncompatibleUpdate, NotMeasurable
from holdfast.methods.oft import Oft
from holdfast.testing.laws import small_model
from holdfast.weights.adapter import read_adapter
from holdfast.weights.paths.rotations import Soundness, Turning, clocked, orthogonality, site_of, turned

EXACT: dict[str, Any] = {"peft_type": "OFT", "use_cayley_neumann": False, "num_cayley_neumann_terms": 5}
SERIES: dict[str, Any] = EXACT | {"use_cayley_neumann": True}
NAME = "base_model.model.model.layers.0.mlp.up_proj.oft_R.weight"
CLOCKS: tuple[Clock, ...] = ("linear", "sqrt", "geodesic")


def upper(generator: Tensor) -> Tensor:
    rows, columns = torch.triu_indices(generator.shape[-1], generator.shape[-1], 1)
    return generator[:, rows, columns]


def adapter(
    scale: float = 0.2, dtype: torch.dtype = torch.float64, blocks: int = 3, width: int = 4
) -> dict[str, Tensor]:
    """Two layers, of which the first turns more."""
    return {
        NAME.replace("0", str(layer)): upper(skewed(blocks, width, scale / (layer + 1), seed=layer)).to(dtype)
        for layer in range(2)
    }


@pytest.mark.parametrize(
    ("name", "site"),
    [
        (NAME, "model.layers.0.mlp.up_proj"),
        ("base_model.model.a.oft_R.default.weight", "a"),
        ("a.b.oft_R.weight", "a.b"),
        ("base_model.model.a.oft_R.bias", None),
        ("base_model.model.embed.oft_embedding_R.weight", None),
        ("base_model.model.lm_head.weight", None),
        ("base_model.model.a.oft_R.x.y.weight", None),
    ],
)
def test_generators_are_known_by_their_stored_and_their_live_names(name: str, site: str | None) -> None:
    assert site_of(name) == site


@pytest.mark.parametrize("terms", range(3, 10))
@pytest.mark.parametrize("exact", [True, False])
def test_the_rotation_is_the_transpose_of_what_peft_makes_of_the_tensor(terms: int, exact: bool) -> None:
    stored = upper(skewed(2, 6, 0.2, dtype=torch.float32))
    layer = OFTRotationModule(2, 15, 6, 12, use_cayley_neumann=not exact, num_cayley_neumann_terms=terms)
    layer.weight.data = stored
    config = (EXACT if exact else SERIES) | {"num_cayley_neumann_terms": terms}
    found = torch.block_diag(*Turning.of(config).rotation(skew(stored)))
    torch.testing.assert_close(found.T, layer.get_weight().detach(), rtol=0, atol=1e-6)


def test_pefts_two_maps_turn_in_opposite_directions() -> None:
    generator = skewed(2, 6, 0.1)
    exact, series = (Turning.of(config).rotation(generator) for config in (EXACT, SERIES))
    torch.testing.assert_close(exact, cayley(generator))
    torch.testing.assert_close(series, neumann(generator).mT)
    back = exact @ series
    assert float((back - torch.eye(6, dtype=torch.float64)).norm()) < 0.1 * float((exact - series).norm())


def test_peft_sums_three_terms_as_four() -> None:
    assert Turning.of(SERIES | {"num_cayley_neumann_terms": 3}) == Turning(4)
    assert Turning.of({"peft_type": "OFT", "use_cayley_neumann": True}) == Turning(5)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"peft_type": "LORA"}, NotMeasurable, "the rotations of a lora adapter: it has none"),
        ({}, NotMeasurable, "the rotations of a none adapter: it has none"),
        (
            {"peft_type": "OFT"},
            DamagedCheckpoint,
            "the configuration does not say whether its rotations are exact (use_cayley_neumann), and the two maps "
            "turn in opposite directions; add the value with which the adapter was trained",
        ),
        (
            EXACT | {"coft": True},
            NotMeasurable,
            "rotations under coft: peft shortens the stored generators whenever they run",
        ),
        (
            SERIES | {"num_cayley_neumann_terms": 2},
            NotMeasurable,
            "rotations by 2 terms: peft sums I + 2Q, which is no truncated Cayley map; three terms or more are one",
        ),
        (
            SERIES | {"num_cayley_neumann_terms": 1},
            NotMeasurable,
            "rotations by 1 terms: peft sums I, which is no truncated Cayley map; three terms or more are one",
        ),
    ],
)
def test_configurations_that_do_not_say_what_runs_are_refused(
    config: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        Turning.of(config)
    assert str(caught.value) == message


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_point_saved_as_an_adapter_makes_the_update_that_is_worked_out_here(
    saved: Callable[..., tuple[Path, Tensor]], exact: bool, t: float, clock: Clock
) -> None:
    folder, _ = saved(Oft(block_size=16, exact=exact))
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    point = clocked(load_file(folder / "adapter_model.safetensors"), t, clock, config=config)
    save_file(point, folder / "adapter_model.safetensors")
    model = small_model()
    weights = dict(model.named_parameters())
    found, wanted = turned(point, config, weights), read_adapter(folder, model)
    assert found.norm() == pytest.approx(wanted.norm(), rel=1e-4, abs=1e-6)
    assert t or not found.norm()
    for name, change in found.items():
        assert isinstance(change, Rotation) == exact
        moved = wanted[name].dense() if name in wanted else torch.zeros(change.shape)
        torch.testing.assert_close(change.dense(), moved, rtol=0, atol=2e-6)
    assert set(wanted) <= set(found)


@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("config", [EXACT, SERIES])
def test_each_generator_is_at_its_share_of_the_clock(config: dict[str, Any], clock: Clock) -> None:
    tensors = adapter()
    for t in (0.1, 0.5, 0.9):
        for name, tensor in clocked(tensors, t, clock, config=config).items():
            found, whole = eigen_sizes(skew(tensor)), eigen_sizes(skew(tensors[name]))
            torch.testing.assert_close(found, clocked_sizes(whole, t, clock), rtol=0, atol=1e-12)
            if clock != "geodesic":
                torch.testing.assert_close(tensor, (t if clock == "linear" else math.sqrt(t)) * tensors[name])


def test_the_two_published_clocks_pass_the_same_adapters() -> None:
    tensors = adapter()
    for t in (0.2, 0.7):
        for name, tensor in clocked(tensors, t**2, "sqrt", config=SERIES).items():
            torch.testing.assert_close(tensor, clocked(tensors, t, config=SERIES)[name])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("clock", CLOCKS)
def test_the_end_is_the_very_adapter_and_types_are_kept(dtype: torch.dtype, clock: Clock) -> None:
    tensors = adapter(dtype=dtype)
    end = clocked(tensors, 1.0, clock, config=EXACT)
    assert all(end[name] is tensor for name, tensor in tensors.items())
    for t in (0.0, 0.5):
        found = clocked(tensors, t, clock, config=EXACT)
        assert all(tensor.dtype == dtype for tensor in found.values())
        assert t or not any(tensor.any() for tensor in found.values())


@given(st.floats(0, 1), st.integers(0, 50))
def test_singular_values_stay_on_every_exact_path(t: float, seed: int) -> None:
    weight, name = normal(5, 12, seed=seed), "a.oft_R.weight"
    tensors = {name: upper(skewed(3, 4, 0.7, seed))}
    before = torch.linalg.svdvals(weight)
    for clock in CLOCKS:
        change = turned(clocked(tensors, t, clock, config=EXACT), EXACT, {"a.weight": weight})["a.weight"]
        torch.testing.assert_close(torch.linalg.svdvals(weight + change.dense()), before, rtol=1e-10, atol=0)


def test_other_tensors_go_straight_from_where_they_began_at_the_share_of_the_generators() -> None:
    head = "base_model.model.lm_head.weight"
    tensors = adapter() | {head: torch.tensor([3.0, 5.0]).bfloat16()}
    begun = {head: torch.tensor([1.0, 1.0])}
    for clock, share in (("linear", 0.25), ("sqrt", 0.5), ("geodesic", 0.25)):
        found = clocked(tensors, 0.25, clock, config=EXACT, begun=begun.get)[head]
        assert found.dtype == torch.bfloat16 and found.tolist() == [1 + 2 * share, 1 + 4 * share]


@pytest.mark.parametrize("begun", [None, {}.get])
def test_other_tensors_of_unknown_beginning_are_refused(begun: Callable[[str], Tensor | None] | None) -> None:
    tensors = adapter() | {"base_model.model.lm_head.weight": torch.ones(2)}
    with pytest.raises(NotMeasurable) as caught:
        clocked(tensors, 0.5, config=EXACT, begun=begun)
    assert str(caught.value) == (
        "'base_model.model.lm_head.weight' is no generator, and what it was before training is not known; give its "
        "initial value, or take the dense line"
    )


def test_the_geodesic_of_a_series_beyond_1_is_refused_and_of_an_exact_map_is_not() -> None:
    tensors = {"a.oft_R.weight": torch.tensor([[1.5]])}
    with pytest.raises(NotMeasurable) as caught:
        clocked(tensors, 0.5, "geodesic", config=SERIES)
    assert str(caught.value) == (
        "the angles of 'a.oft_R.weight': its generator reaches 1.5, and from 1 on the series that peft sums is no "
        "rotation; take the linear clock"
    )
    half = clocked(tensors, 0.5, "geodesic", config=EXACT)["a.oft_R.weight"]
    assert float(half) == pytest.approx(math.tan(0.5 * math.atan(1.5)))


@pytest.mark.parametrize("config", [EXACT, SERIES])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_update_is_the_turned_weight_less_the_weight(config: dict[str, Any], dtype: torch.dtype) -> None:
    weight, tensor = normal(5, 12, dtype=dtype), upper(skewed(3, 4, 0.2)).to(dtype)
    turn = torch.block_diag(*Turning.of(config).rotation(skew(tensor.double())))
    found = turned({"a.oft_R.weight": tensor}, config, {"a.weight": weight})["a.weight"].dense()
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    wanted = weight.double() @ turn - weight.double()
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-12 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize("config", [EXACT, SERIES])
def test_a_shared_block_turns_all_inputs(config: dict[str, Any]) -> None:
    weight, tensor = normal(5, 12), upper(skewed(1, 4, 0.2))
    turn = torch.block_diag(*[Turning.of(config).rotation(skew(tensor))[0]] * 3)
    found = turned({"a.oft_R.weight": tensor}, config, {"a.weight": weight})["a.weight"].dense()
    torch.testing.assert_close(found, weight @ turn - weight, rtol=0, atol=1e-12)


def test_a_base_without_the_weight_or_of_another_shape_is_refused() -> None:
    tensors = {"a.oft_R.weight": upper(skewed(3, 4))}
    with pytest.raises(IncompatibleUpdate) as caught:
        turned(tensors, EXACT, {"b.weight": normal(5, 12)})
    assert str(caught.value) == "the adapter turns 'a', for which this base has no weight"
    for shape in ((5, 16), (5, 13), (5, 3), (12,)):
        with pytest.raises(IncompatibleUpdate) as caught:
            turned(tensors, EXACT, {"a.weight": normal(*shape)})
        assert str(caught.value) == (
            f"3 blocks of width 4 do not fill a weight of shape {shape}; was the adapter made for another base?"
        )


def test_other_tensors_make_no_rotation() -> None:
    assert not turned({"base_model.model.lm_head.weight": torch.ones(2)}, EXACT, {})


@given(st.sampled_from((1e-4, 0.05, 0.2, 1.0)), st.integers(3, 7), st.integers(0, 50))
def test_soundness_is_that_of_the_rotations_themselves(scale: float, terms: int, seed: int) -> None:
    config = SERIES | {"num_cayley_neumann_terms": terms}
    tensor = upper(skewed(3, 4, scale, seed))
    (found,) = orthogonality({"a.oft_R.weight": tensor}, config).values()
    rotation = Turning.of(config).rotation(skew(tensor))
    assert found.defects == pytest.approx([orthogonality_defect(one[None]) for one in rotation], rel=1e-6, abs=1e-13)
    assert found.largest == pytest.approx(float(torch.linalg.matrix_norm(skew(tensor), 2).max()))
    assert found.series


def test_an_exact_adapter_is_sound_whatever_its_size() -> None:
    found = orthogonality(adapter(30.0), EXACT)
    assert list(found) == ["model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"]
    for one in found.values():
        assert one.defects == (0, 0, 0) and one.largest > 1 and one.complaint() is None


def test_what_is_wrong_with_a_layer_is_said_in_a_sentence() -> None:
    assert Soundness((0.01, 0.05), 0.5, 0.1, series=True).complaint() is None
    assert Soundness((0.01, 0.0501), 0.5, 0.1, series=True).complaint() == (
        "a rough rotation: it misses orthogonality by 0.0501, above 0.05, because the Cayley map is cut off; an exact "
        "one turns by the same angles"
    )
    assert Soundness((9.0,), 1.0, 0.1, series=True).complaint() == (
        "not a rotation: its generator reaches 1, and the series of the Cayley map holds below 1; train with "
        "use_cayley_neumann=False"
    )


def test_random_generators_of_width_32_miss_orthogonality_by_the_size_the_series_promises() -> None:
    # Of random generators of rms 0.05 and 0.1, with q up to about 0.55 and 1.1.
    for rms, low, high in ((0.02, 0.0005, 0.002), (0.05, 0.02, 0.07), (0.1, 0.2, 0.8)):
        tensor = upper(skewed(1, 32, rms / math.sqrt(2)))
        (found,) = orthogonality({"a.oft_R.weight": tensor}, SERIES).values()
        assert low < found.defects[0] < high
