"""A measurement from end to end, on a model of which the answer is known; it gives every bit back and can be killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from small import bits, moved, same_bits
from transformers import PreTrainedModel

from holdfast.core.basin import BasinMeasurement
from holdfast.core.basin_recipe import BasinRecipe
from holdfast.core.errors import NotMeasurable
from holdfast.measure.basin import outing
from holdfast.measure.basin.ability import Scored
from holdfast.measure.basin.engine import measure_basin
from holdfast.methods.lora import Lora
from holdfast.models.base import Base
from holdfast.models.identity import identity_of
from holdfast.weights.adapter import read_adapter

Threshold = Callable[..., Scored]


def recipe(**options: Any) -> BasinRecipe:
    """Few questions, a wide tolerance, and little certainty."""
    quick: dict[str, Any] = {
        "directions": ("random",),
        "sigmas": (0.5, 8.0),
        "adapter_sigmas": (0.01, 10.0),
        "seeds": 2,
        "tau": 0.4,
        "level": 0.5,
        "most_directions": 40,
        "certificate_directions": 4,
    }
    return BasinRecipe(**{**quick, **options})


@pytest.fixture
def saved(tiny: PreTrainedModel, tmp_path: Path) -> str:
    attachment = moved(Lora(r=2), tiny)
    attachment.save(tmp_path / "lora")
    attachment.detach()
    return str(tmp_path / "lora")


@pytest.fixture
def words() -> Scored:
    """How likely some words are, above or below what they are at the start: a score that an adapter moves too."""

    def score(model: PreTrainedModel, items: Sequence[int]) -> list[float]:
        with torch.inference_mode():
            said = model(input_ids=torch.tensor([[1, 2, 3]])).logits[0, -1]
        return [float(abs(said[item]) < 3) for item in items]

    return Scored("words", 4, score, key="words")


def test_a_model_is_given_back_with_what_was_found(tiny_base: Base, threshold: Threshold) -> None:
    before = bits(tiny_base.model)
    found = measure_basin(tiny_base, [threshold()], recipe())
    assert same_bits(bits(tiny_base.model), before) and found.hash_before == found.hash_after
    (curve,), (width,) = found.curves, found.widths
    assert (curve.direction, curve.base, curve.self_noise) == ("random", 1.0, 0.0)
    assert width.ability == "threshold" and width.low is not None
    assert {each.about for each in found.certificates} == {"share", "score"}
    assert {each.sigma for each in found.certificates} == {width.low}
    assert found.coordinates == sum(weight.numel() for weight in tiny_base.model.parameters())
    assert found.space == "all weights" and [sigma for sigma, _ in found.lost_frac] == [0.5, 8.0]
    assert found.notes == (outing.SHARED,)
    assert found.tolerance == 0.4 and found.recipe["seeds"] == 2 and found.environment["dtype"] == "float32"
    assert BasinMeasurement.model_validate_json(found.model_dump_json()) == found


def test_in_half_precision_every_bit_comes_back_and_what_rounding_swallows_is_told(
    tiny: PreTrainedModel, threshold: Threshold
) -> None:
    half = tiny.to(torch.bfloat16)
    base, before = Base("tiny", half, cast(Any, None), identity_of(half)), bits(half)
    found = measure_basin(base, [threshold()], recipe(sigmas=(1e-4, 8.0), most_directions=2))
    assert same_bits(bits(half), before) and found.environment["dtype"] == "bfloat16"
    (near, swallowed), (far, kept) = found.lost_frac
    assert (near, far) == (1e-4, 8.0) and swallowed > 0.2 > kept


def test_noise_on_b_alone_merges_nothing(tiny_base: Base, words: Scored, saved: str) -> None:
    tiny_base.model.config.quantization_config = {"quant_method": "some"}
    options = {"adapter": saved, "directions": ("adapter",), "most_directions": 2, "certificates": ()}
    found = measure_basin(tiny_base, [words], recipe(**options))
    assert found.space == "B of an adapter, A frozen" and len(found.curves) == 1
    with pytest.raises(NotMeasurable, match="are quantised and have no neighbours"):
        measure_basin(tiny_base, [words], recipe(**{**options, "directions": ("adapter", "random")}))


def test_a_killed_measurement_goes_on_where_it_was(tiny_base: Base, threshold: Threshold, tmp_path: Path) -> None:
    whole = measure_basin(tiny_base, [threshold()], recipe())
    before = bits(tiny_base.model)
    for patience in (0, 3, 9, 27):
        with pytest.raises(KeyboardInterrupt):
            measure_basin(tiny_base, [mortal(threshold(), patience)], recipe(), folder=tmp_path)
        assert same_bits(bits(tiny_base.model), before)
    asked: list[Any] = []
    found = measure_basin(tiny_base, [threshold(asked=asked)], recipe(), folder=tmp_path)
    assert found.model_dump(exclude={"environment"}) == whole.model_dump(exclude={"environment"}) and asked
    assert measure_basin(tiny_base, [mortal(threshold(), 0)], recipe(), folder=tmp_path).curves == whole.curves


def mortal(ability: Scored, patience: int) -> Scored:
    """The same ability, for so many askings."""
    left = iter(range(patience))

    def score(model: PreTrainedModel, items: Sequence[int]) -> Sequence[float]:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return ability.score(model, items)

    return replace(ability, score=score)


def test_likelihoods_are_drawn_and_never_enter_a_width(tiny_base: Base, threshold: Threshold) -> None:
    smooth = Scored("texts", 2, lambda model, items: [0.5 for _ in items], key="texts", smooth=True)
    found = measure_basin(tiny_base, [smooth, threshold()], recipe(directions=("random", "per-layer")))
    assert [curve.smooth for curve in found.curves if curve.ability == "texts"] == [True]
    assert {curve.direction for curve in found.curves} == {"random", "layer 0", "layer 1"}
    assert {width.ability for width in found.widths} == {each.ability for each in found.certificates} == {"threshold"}
    # That likelihoods have no width, whoever shows the curve derives.
    assert found.notes == (outing.SHARED,)


def test_a_fine_tune_is_judged_and_its_way_walked(tiny_base: Base, words: Scored, saved: str) -> None:
    found = measure_basin(
        tiny_base, [words], recipe(tuned=(saved,), directions=("random", "adapter"), most_directions=20)
    )
    (verdict,) = found.verdicts
    assert verdict.tuned == saved and verdict.matched is not None
    assert verdict.certificate is not None and verdict.certificate.displacement == pytest.approx(verdict.displacement)
    assert verdict.certificate.line in verdict.sentence
    toward = next(curve for curve in found.curves if curve.direction == f"toward {saved}")
    assert verdict.sigma == pytest.approx(toward.levels[3].sigma) and len(toward.levels) == 5
    frozen = [each for each in found.certificates if each.space == f"B of an adapter, A frozen ({saved})"]
    assert {each.about for each in frozen} == {"share", "score"}
    assert all(each.displacement is not None and each.displacement > 0 for each in frozen)
    assert any(note.startswith(f"In the space of the B of {saved}, 'words' has a width of") for note in found.notes)


def test_around_an_adapter_the_merged_model_is_moved(tiny_base: Base, words: Scored, saved: str) -> None:
    def likely(model: PreTrainedModel, items: Sequence[int]) -> list[float]:
        with torch.inference_mode():
            said = model(input_ids=torch.tensor([[1, 2, 3]])).logits[0, -1].softmax(-1)
        return [float(said[item]) for item in items]

    abilities = [Scored("likely", 4, likely, key="likely", smooth=True), words]
    before, quick = bits(tiny_base.model), {"most_directions": 2, "certificates": ()}
    found = measure_basin(tiny_base, abilities, recipe(adapter=saved, directions=("random", "adapter"), **quick))
    assert same_bits(bits(tiny_base.model), before)
    plain = measure_basin(tiny_base, abilities, recipe(**quick))
    with read_adapter(Path(saved), tiny_base.model).added_to(tiny_base.model):
        merged = likely(tiny_base.model, range(4))
    assert found.curves[0].base == pytest.approx(sum(merged) / 4) != plain.curves[0].base
    assert found.curves[0].levels != plain.curves[0].levels
    assert {curve.direction for curve in found.curves} == {"random", f"adapter {saved}"}


def test_fine_tunes_are_asked_on_the_bare_base_whatever_is_merged(tiny_base: Base, saved: str, tmp_path: Path) -> None:
    def near(model: PreTrainedModel, items: Sequence[int]) -> list[float]:
        with torch.inference_mode():
            said = model(input_ids=torch.tensor([[1, 2, 3]])).logits[0, -1].sigmoid()
        return [float(said[item]) for item in items]

    attachment = moved(Lora(r=2), tiny_base.model, by=0.5)
    attachment.save(tmp_path / "far")
    attachment.detach()
    far, ability = str(tmp_path / "far"), Scored("near", 4, near, key="near")
    options = {"tau": 0.2, "most_directions": 2, "certificates": ()}
    found = measure_basin(tiny_base, [ability], recipe(adapter=saved, tuned=(far,), **options))
    with read_adapter(Path(far), tiny_base.model).added_to(tiny_base.model):
        own = sum(near(tiny_base.model, range(4))) / 4
    with read_adapter(Path(saved), tiny_base.model).added_to(tiny_base.model):
        start = sum(near(tiny_base.model, range(4))) / 4
    (verdict,) = found.verdicts
    assert verdict.drop.value == pytest.approx(start - own, abs=1e-6) and abs(start - own) > 1e-4


def test_a_base_no_better_than_a_guess_has_no_width(tiny_base: Base) -> None:
    poor = Scored("poor", 4, lambda model, items: [0.25 for _ in items], key="poor", chance=0.25)
    found = measure_basin(tiny_base, [poor], recipe())
    assert found.curves and not found.widths and not found.certificates
    assert any(note.startswith("'poor': no width") for note in found.notes)


def test_a_function_has_no_worst_case(tiny_base: Base, threshold: Threshold) -> None:
    found = measure_basin(tiny_base, [threshold()], recipe(directions=("worst",)))
    assert found.notes == (outing.NO_EXAMPLES.format("threshold"),) and not found.curves


def test_what_is_no_theorem_is_refused_before_anything_is_asked(tiny_base: Base, threshold: Threshold) -> None:
    asked: list[Any] = []
    with pytest.raises(NotMeasurable, match="greedy 0-1 score jumps"):
        measure_basin(tiny_base, [threshold(asked=asked)], recipe(certificates=("lipschitz",)))
    tiny_base.model.config.quantization_config = {"quant_method": "some"}
    with pytest.raises(NotMeasurable, match="are quantised and have no neighbours"):
        measure_basin(tiny_base, [threshold(asked=asked)], recipe())
    assert not asked
