"""Fine-tunes that are at hand are measured themselves, beside random moves of exactly their length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from small import moved
from transformers import PreTrainedModel

from holdfast.core.basin import BasinWidth
from holdfast.core.errors import NotMeasurable
from holdfast.measure.basin.ability import Scored
from holdfast.measure.basin.asked import MATCHED_SEEDS, Notebook
from holdfast.measure.basin.fine_tunes import fine_tune, judged, own_scores, without_b
from holdfast.measure.basin.ways import random_way
from holdfast.methods.lora import Lora
from holdfast.methods.pissa import Pissa
from holdfast.models.base import Base
from holdfast.weights.adapter import read_adapter
from holdfast.weights.borrowed import borrowed
from holdfast.weights.perturbing.pristine import fingerprint
from holdfast.weights.perturbing.sweep import perturbed
from holdfast.weights.rays import gaussian

Threshold = Callable[..., Scored]


@pytest.fixture
def saved(tiny: PreTrainedModel, tmp_path: Path) -> Path:
    attachment = moved(Lora(r=2), tiny)
    attachment.save(tmp_path / "lora")
    attachment.detach()
    return tmp_path / "lora"


def test_a_fine_tune_is_what_its_folder_does(tiny_base: Base, saved: Path) -> None:
    found = fine_tune(tiny_base, str(saved))
    update = read_adapter(saved, tiny_base.model)
    assert found.name == str(saved) and found.is_adapter and found.norm == update.norm() > 0


def test_around_an_adapter_its_own_part_is_taken_off(tiny_base: Base, saved: Path) -> None:
    half = read_adapter(saved, tiny_base.model).scaled(0.5)
    found = fine_tune(tiny_base, str(saved), half)
    assert found.norm == pytest.approx(half.norm(), rel=1e-5)
    with pytest.raises(NotMeasurable, match="away from the model around which basins are measured: there is nothing"):
        fine_tune(tiny_base, str(saved), half.scaled(2))


def test_own_scores_are_those_of_the_model_its_users_run(tiny_base: Base, saved: Path, tmp_path: Path) -> None:
    asked = []

    def score(model: PreTrainedModel, items: list[int]) -> list[float]:
        asked.append(type(model).__name__)
        with torch.inference_mode():
            said = model(input_ids=torch.tensor([[1, 2, 3]])).logits[0, -1].softmax(-1)
        return [float(said[item]) for item in items]

    ability = Scored("words", 3, score, key="words")  # type: ignore[arg-type]
    before = fingerprint(tiny_base.model)
    found = own_scores(fine_tune(tiny_base, str(saved)), tiny_base, ability, tmp_path / "kept")
    alone = ability.ask(tiny_base.model, range(3))
    with borrowed(saved, tiny_base.model) as held:
        assert found == ability.ask(held.model, range(3)) != alone
    assert fingerprint(tiny_base.model) == before
    count = len(asked)
    assert own_scores(fine_tune(tiny_base, str(saved)), tiny_base, ability, tmp_path / "kept") == found
    assert len(asked) == count


def test_fine_tunes_keep_scores_of_their_own(tiny_base: Base, saved: Path, tmp_path: Path) -> None:
    attachment = moved(Lora(r=2), tiny_base.model, by=0.5)
    attachment.save(tmp_path / "far")
    attachment.detach()

    def score(model: PreTrainedModel, items: Sequence[int]) -> list[float]:
        with torch.inference_mode():
            return [float(model(input_ids=torch.tensor([[1, 2, 3]])).logits[0, -1].softmax(-1)[0])]

    ability = Scored("words", 1, score, key="words")
    near, far = (
        own_scores(fine_tune(tiny_base, str(folder)), tiny_base, ability, tmp_path / "kept")
        for folder in (saved, tmp_path / "far")
    )
    assert near != far


def test_the_control_is_as_long_as_the_fine_tune(tiny_base: Base, saved: Path, threshold: Threshold) -> None:
    model, ability, found = tiny_base.model, threshold((0.01, 0.02, 0.05)), fine_tune(tiny_base, str(saved))
    width = BasinWidth(
        ability="threshold", question="q", test="t", level=0.9, low=0.01, high=10.0, steps=(), scored_items=0
    )
    with random_way(model).walking() as walk:
        scores = Notebook("tiny").along(ability, walk)
        verdict = judged(found, width, scores, [1.0, 1.0, 0.0], model, 5, None)
    lost = []
    for seed in range(MATCHED_SEEDS, MATCHED_SEEDS + 5):
        ray = gaussian(model, seed)
        assert ray.at(found.norm / ray.length).norm() == pytest.approx(found.norm, rel=1e-5)
        with perturbed(model, ray.update, found.norm / ray.length):
            lost.append(1 - sum(ability.ask(model, range(3))) / 3)
    assert verdict.matched is not None and verdict.matched.value == pytest.approx(sum(lost) / 5)
    assert verdict.drop.value == pytest.approx(1 / 3) and verdict.displacement == found.norm
    assert verdict.verdict == "undecided" and verdict.tuned == str(saved)


def test_without_its_b_an_adapter_is_its_base(tiny_base: Base, saved: Path) -> None:
    ids = torch.tensor([[1, 5, 9]])
    before = fingerprint(tiny_base.model)
    with torch.inference_mode():
        clean = tiny_base.model(input_ids=ids).logits
        with borrowed(saved, tiny_base.model) as held:
            assert not torch.equal(held.model(input_ids=ids).logits, clean)
            assert torch.equal(without_b(held)(input_ids=ids).logits, clean)
    assert fingerprint(tiny_base.model) == before


def test_an_adapter_that_changed_its_base_has_no_such_space(tiny_base: Base, tmp_path: Path) -> None:
    attachment = moved(Pissa(r=2), tiny_base.model)
    attachment.model.save_pretrained(str(tmp_path / "pissa"))
    attachment.detach()
    with (
        borrowed(tmp_path / "pissa", tiny_base.model) as held,
        pytest.raises(NotMeasurable, match=r"with its B at 0 the adapter is still .* away from its base"),
    ):
        without_b(held)
