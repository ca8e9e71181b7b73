"""An adapter loaded with the flag flipped turns backwards, and a record of its direction tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor
from twins import normal, skewed

from holdfast.algebra.delta import Dense
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import skew
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.methods.oft import Oft
from holdfast.testing.laws import small_model
from holdfast.weights.adapter import read_adapter
from holdfast.weights.paths.rotations import Turning, orthogonality, turned
from holdfast.weights.paths.sign_trap import MARKS, alike, flipped, marks_of, repaired, sign_trap, turn_marks
from holdfast.weights.update import Update

EXACT: dict[str, Any] = {"peft_type": "OFT", "use_cayley_neumann": False, "num_cayley_neumann_terms": 5}
SERIES: dict[str, Any] = EXACT | {"use_cayley_neumann": True}
REPAIR = (
    ", or negate every oft_R tensor as well, which is the repair: the adapter is exactly orthogonal then (repaired in "
    "holdfast.weights.paths.sign_trap)"
)


def adapter(scale: float = 0.05, seed: int = 0, layers: int = 3) -> dict[str, Tensor]:
    rows, columns = torch.triu_indices(8, 8, 1)
    return {
        f"base_model.model.layers.{layer}.up.oft_R.weight": skewed(2, 8, scale, seed + layer)[:, rows, columns]
        for layer in range(layers)
    }


def cosine(one: Update, other: Update) -> float:
    a, b = (torch.cat([update[name].dense().flatten().double() for name in one]) for update in (one, other))
    return float(a @ b / a.norm() / b.norm())


def test_the_flag_flipped_is_detected_in_a_folder(saved: Callable[..., tuple[Path, Tensor]]) -> None:
    folder, _ = saved(Oft(block_size=16, exact=False))
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    tensors = load_file(folder / "adapter_model.safetensors")
    recorded = json.loads(json.dumps(turn_marks(tensors, config)))
    before = read_adapter(folder, small_model())
    file.write_text(json.dumps(config | {"use_cayley_neumann": False}), encoding="utf-8")
    after = read_adapter(folder, small_model())
    assert cosine(before, after) < -0.5
    assert alike(marks_of(before), marks_of(after)) == pytest.approx(cosine(before, after), abs=0.15)
    found = sign_trap(tensors, json.loads(file.read_text(encoding="utf-8")), recorded)
    assert found.answer == "reversed" and found.cosine == pytest.approx(-1, abs=0.03)
    assert sign_trap(tensors, config, recorded).answer == "as recorded"


@pytest.mark.parametrize(("trained", "loaded"), [(EXACT, SERIES), (SERIES, EXACT)])
@pytest.mark.parametrize("scale", [1e-4, 0.05, 0.1])
def test_either_flip_is_told_from_the_record(trained: dict[str, Any], loaded: dict[str, Any], scale: float) -> None:
    tensors = adapter(scale)
    recorded = turn_marks(tensors, trained)
    found = sign_trap(tensors, loaded, recorded)
    assert found.answer == "reversed" and found.cosine is not None
    was, now = trained["use_cayley_neumann"], loaded["use_cayley_neumann"]
    assert found.sentence == (
        f"the adapter turns against its record (cosine {found.cosine:.2f}): use_cayley_neumann={now} in its "
        f"configuration inverts what was trained with {was}, unless the tensors themselves were negated; set it back "
        f"to {was}{REPAIR if was else ''}"
    )
    assert sign_trap(flipped(tensors), loaded, recorded).answer == "as recorded"
    assert sign_trap(flipped(tensors), trained, recorded).answer == "reversed"


@pytest.mark.parametrize("config", [EXACT, SERIES])
def test_rounding_and_rewinding_are_not_taken_for_a_flip(config: dict[str, Any]) -> None:
    tensors = adapter()
    recorded = turn_marks(tensors, config)
    for change in (lambda q: q.bfloat16(), lambda q: q.float(), lambda q: 0.3 * q):
        found = sign_trap({name: change(q) for name, q in tensors.items()}, config, recorded)
        assert found.answer == "as recorded" and found.cosine == pytest.approx(1, abs=0.01)
        assert found.sentence == "the adapter turns as recorded (cosine 1.00)"


def test_another_adapter_is_neither() -> None:
    recorded = turn_marks(adapter(), SERIES)
    found = sign_trap(adapter(seed=50), SERIES, recorded)
    assert found.answer == "another change" and found.cosine is not None
    assert found.sentence == (
        f"the adapter is not the one of its record (cosine {found.cosine:.2f}): its tensors were changed after it was "
        "written"
    )


def test_without_a_record_the_folder_does_not_tell() -> None:
    for tensors in (adapter(), flipped(adapter())):
        found = sign_trap(tensors, SERIES, None)
        assert (found.answer, found.cosine) == ("not told", None)
        assert found.sentence == (
            "whether use_cayley_neumann=True is what the adapter was trained with cannot be told from its folder, "
            "which holds no record of the direction; compare the loss on the target with that of the negated generators"
        )


def test_a_generator_that_the_series_cannot_turn_by_is_a_hint() -> None:
    (name,) = tensors = {"layers.0.up.oft_R.weight": torch.tensor([[1.25]])}
    assert sign_trap(tensors, SERIES, None).sentence.endswith(
        f". A hint that it is not: the generator '{name}' reaches 1.25, where the series is no rotation"
    )
    assert "hint" not in sign_trap(tensors, EXACT, None).sentence


def test_a_record_of_other_layers_is_refused() -> None:
    with pytest.raises(IncompatibleUpdate) as caught:
        sign_trap(adapter(layers=2), SERIES, turn_marks(adapter(layers=3), SERIES))
    assert str(caught.value) == "'layers.2.up' (1 in all) is in the record or in the adapter, and not in both"


def test_a_change_of_nothing_has_no_direction() -> None:
    nothing = {name: torch.zeros_like(q) for name, q in adapter().items()}
    with pytest.raises(NotMeasurable) as caught:
        sign_trap(nothing, SERIES, turn_marks(adapter(), SERIES))
    assert str(caught.value) == "the direction of a change that changes nothing"


def test_an_adapter_without_rotations_is_refused() -> None:
    for ask in (lambda: repaired({}, SERIES), lambda: sign_trap({}, SERIES, None)):
        with pytest.raises(NotMeasurable) as caught:
            ask()
        assert str(caught.value) == "the rotations of an adapter that holds no tensor named oft_R: it has none"


def test_flipping_negates_generators_alone_and_twice_is_nothing() -> None:
    tensors = adapter() | {"base_model.model.lm_head.weight": torch.ones(2)}
    once = flipped(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(once[name], -tensor if "oft_R" in name else tensor)
        assert torch.equal(flipped(once)[name], tensor)


@given(st.integers(0, 100), st.sampled_from((1e-3, 0.03, 0.05)))
def test_the_repair_is_exact_and_turns_by_the_same_angles(seed: int, scale: float) -> None:
    tensors = adapter(scale, seed)
    new, config = repaired(tensors, SERIES | {"other": 1})
    assert config == EXACT | {"other": 1}
    weights = {f"layers.{layer}.up.weight": normal(5, 16, seed=seed + layer) for layer in range(3)}
    before, after = turned(tensors, SERIES, weights), turned(new, config, weights)
    assert cosine(before, after) > 0.999
    for site, one in orthogonality(new, config).items():
        assert one.defects == (0, 0)
        assert one.rms_angle_rad == pytest.approx(orthogonality(tensors, SERIES)[site].rms_angle_rad)
    for name, change in after.items():
        values = torch.linalg.svdvals(weights[name])
        torch.testing.assert_close(torch.linalg.svdvals(weights[name] + change.dense()), values, rtol=1e-10, atol=0)


@pytest.mark.parametrize("q", [0.01, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("terms", [3, 4, 5, 6, 7])
def test_the_repair_moves_the_update_by_the_share_that_is_stated(q: float, terms: int) -> None:
    tensors, weights = {"a.oft_R.weight": torch.tensor([[q]], dtype=torch.float64)}, {"a.weight": normal(3, 2)}
    config = SERIES | {"num_cayley_neumann_terms": terms}
    before, after = turned(tensors, config, weights), turned(*repaired(tensors, config), weights)
    moved = float((after["a.weight"].dense() - before["a.weight"].dense()).norm())
    wanted = 0.5 * q ** (max(terms, 4) - 2) * (1 + q**2) ** 0.5
    assert moved / after.norm() == pytest.approx(wanted, rel=1e-6)


def test_repairs_that_are_none_are_refused() -> None:
    with pytest.raises(NotMeasurable) as caught:
        repaired(adapter(), EXACT)
    assert str(caught.value) == ("the repair of an adapter that is exactly orthogonal: there is nothing to repair")
    with pytest.raises(NotMeasurable) as caught:
        repaired({"a.oft_R.weight": torch.tensor([[0.1], [1.0]])}, SERIES)
    assert str(caught.value) == (
        "the exact rotation in the place of 'a.oft_R.weight': its generator reaches 1, and from 1 on the series that "
        "it was trained with is no rotation; train it again with use_cayley_neumann=False"
    )


def test_marks_are_products_with_vectors_of_signs_that_never_change() -> None:
    found = marks_of(Update({"a": Dense(torch.eye(3, 5))}))["a"]
    # Records outlive machines and versions: these numbers may not move.
    assert found == (3, -1, 1, 1, 1, 1, -1, 3, 1, 1, 1, -1, -1, 3, -1, 1)
    assert len(found) == MARKS


@settings(max_examples=20)
@given(st.integers(0, 200))
def test_the_mean_product_of_marks_is_the_inner_product_of_changes(seed: int) -> None:
    one = {f"{layer}": normal(6, 4, seed=seed + layer) for layer in range(40)}
    other = {name: change + normal(6, 4, seed=seed + 99) for name, change in one.items()}
    first, second = (Update({name: Dense(part) for name, part in parts.items()}) for parts in (one, other))
    # Of 640 marks the standard error is near 0.04.
    assert alike(marks_of(first), marks_of(second)) == pytest.approx(cosine(first, second), abs=0.2)


def test_marks_do_not_ask_for_the_dense_form_and_leave_vectors_out() -> None:
    left, right = normal(6, 2), normal(2, 4)
    found = marks_of(Update({"a": LowRank(left, right), "b": Dense(torch.ones(3))}))
    assert list(found) == ["a"]
    assert found["a"] == pytest.approx(marks_of(Update({"a": Dense(left @ right)}))["a"])


def test_marks_of_turns_are_those_of_the_skew_part_of_the_rotation() -> None:
    tensors = adapter(0.3, layers=1)
    (stored,) = tensors.values()
    rotation = torch.block_diag(*Turning.of(EXACT).rotation(skew(stored)))
    found = turn_marks(tensors, EXACT)
    wanted = marks_of(Update({"layers.0.up": Dense(0.5 * (rotation - rotation.T))}))
    assert found["layers.0.up"] == pytest.approx(wanted["layers.0.up"])
