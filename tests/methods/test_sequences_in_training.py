"""Rivals that heed earlier tasks do so in an ordinary training, which resumes as any other and leaves the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from holdfast.core.errors import BadData
from holdfast.core.recipe import TrainRecipe
from holdfast.methods.on_top import method_named
from holdfast.models.base import Base
from holdfast.store.run import RunFolder
from holdfast.tasks.cant import Cant
from holdfast.tasks.query import Query
from holdfast.train.engine import train
from holdfast.weights.past import PastStage
from holdfast.weights.paths.catalogue import default_path

EXAMPLES = {"cant": list(Cant().examples("train", 24)), "query": list(Query().examples("train", 24))}

Runner = Callable[..., RunFolder]


class Cut(Exception):
    """The moment at which a run is cut off."""


@pytest.fixture
def run(miniature: Base, tmp_path: Path) -> Runner:
    def runner(spec: str, task: str, name: str, past: Sequence[PastStage] = (), cut: int | None = None) -> RunFolder:
        def tick(step: int, steps: int, loss: float | None) -> None:
            if step == cut:
                raise Cut

        options = {"max_steps": 8, "per_device_train_batch_size": 2}
        recipe = TrainRecipe(method=spec, target=task, learning_rate=1e-3, **options)
        folder = RunFolder(tmp_path / name)
        folder.open(recipe.model_dump(mode="json"))
        train(miniature, method_named(spec), EXAMPLES[task], recipe, folder, tick, past=past)
        return folder

    return runner


def past_of(folder: RunFolder) -> list[PastStage]:
    return [PastStage("cant", dict, folder.keepsake_tensors)]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def weights_of(folder: RunFolder) -> dict[str, torch.Tensor]:
    (file,) = folder.checkpoint(8).glob("*.safetensors")
    return load_file(file)


def test_a_later_task_of_replay_without_source_is_not_trained_as_if_it_had_some(run: Runner) -> None:
    past = [PastStage("cant", dict, dict)]
    with pytest.raises(BadData, match=r"^replay mixes in examples .* and there are none: give source"):
        run("replay(share=0.5)", "query", "second", past)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec", ["o_lora(r=4)", "inf_lora(r=4)", "ewc", "si", "mas", "dpi(ratio=0.05)", "cpi_ft(ratio=0.05, probe_steps=2)"]
)
def test_a_later_task_that_was_cut_off_ends_and_leaves_as_one_that_was_not(run: Runner, spec: str) -> None:
    past = past_of(run(spec, "cant", "first"))
    whole = run(spec, "query", "whole", past)
    with pytest.raises(Cut):
        run(spec, "query", "cut", past, cut=7)
    again = run(spec, "query", "cut", past)
    assert same(weights_of(again), weights_of(whole))
    assert again.keepsake_tensors() and same(again.keepsake_tensors(), whole.keepsake_tensors())


@pytest.mark.slow
def test_inf_lora_leaves_its_space_in_an_ordinary_training_and_its_way_back_is_known(
    run: Runner, miniature: Base
) -> None:
    past = past_of(run("inf_lora(r=4)", "cant", "first"))
    folder = run("inf_lora(r=4)", "query", "second", past)
    facts = {record.quantity: record.value for record in folder.facts()}
    assert 0 < (facts["kept_input_dims_frac"] or 0) < 1
    model = miniature.model
    assert isinstance(model, PreTrainedModel)
    path = default_path(folder.checkpoint(8), model, folder.initial_tensors())
    assert path.at(1.0).norm() > 0
