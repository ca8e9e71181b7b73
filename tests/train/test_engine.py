"""Runs resume where they were cut off, leave ordinary folders, and give the base back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from holdfast.core.errors import BadData, HoldfastError, TrainingDiverged
from holdfast.core.recipe import TrainRecipe
from holdfast.methods.adalora import AdaLora
from holdfast.methods.full import Full
from holdfast.methods.lora import Lora
from holdfast.methods.oft import Oft
from holdfast.methods.pissa import Pissa
from holdfast.models.base import Base, located, open_base
from holdfast.models.identity import identity_of
from holdfast.store.run import RunFolder
from holdfast.tasks.cant import Cant
from holdfast.tasks.recall import Recall
from holdfast.train.engine import train
from holdfast.weights.contracts import Method
from holdfast.weights.paths.complaints import complaints, marks_to_record, recorded_marks
from holdfast.weights.quiet import quiet

Runner = Callable[..., RunFolder]


class Cut(Exception):
    """The moment at which a run is cut off."""


def cut_at(step: int) -> Callable[[int, int, float | None], None]:
    def tick(now: int, steps: int, loss: float | None) -> None:
        if now == step:
            raise Cut

    return tick


def weights_of(folder: RunFolder, step: int) -> dict[str, torch.Tensor]:
    (file,) = folder.checkpoint(step).glob("*.safetensors")
    return load_file(file)


METHODS = [
    *(Lora(r=2, dropout=0.1), Full(), AdaLora(init_r=3)),
    *(pytest.param(method, marks=pytest.mark.slow) for method in (Pissa(r=2), Oft(block_size=16))),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_run_that_was_cut_off_ends_as_one_that_was_not(
    run: Runner, done: Runner, method: Method, tmp_path: Path
) -> None:
    whole = done(method)
    with pytest.raises(Cut):
        run(method, "cut", tick=cut_at(5))
    assert not RunFolder(tmp_path / "cut").trained
    resumed = run(method, "cut")
    one, other = weights_of(whole, 8), weights_of(resumed, 8)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert resumed.training()["losses"] == whole.training()["losses"]
    assert resumed.training()["tokens_seen"] == whole.training()["tokens_seen"] > 0


def test_a_run_with_batches_of_similar_length_resumes_alike(run: Runner, tmp_path: Path) -> None:
    options = {"train_sampling_strategy": "group_by_length"}
    whole = run(Lora(r=2), "whole", **options)
    with pytest.raises(Cut):
        run(Lora(r=2), "cut", tick=cut_at(5), **options)
    assert run(Lora(r=2), "cut", **options).training()["losses"] == whole.training()["losses"]


def test_a_resumed_run_does_not_repeat_the_steps_before_its_last_state(run: Runner) -> None:
    with pytest.raises(Cut):
        run(Lora(r=2), "cut", tick=cut_at(7))
    seen: list[int] = []
    run(Lora(r=2), "cut", tick=lambda step, steps, loss: seen.append(step))
    assert seen == [7, 8]


def test_a_half_written_state_is_not_resumed_from(run: Runner, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        run(Lora(r=2), "cut", tick=cut_at(7))
    (RunFolder(tmp_path / "cut").resume / "checkpoint-6" / "complete").unlink()
    seen: list[int] = []
    run(Lora(r=2), "cut", tick=lambda step, steps, loss: seen.append(step))
    assert seen[0] == 1


def test_a_kill_while_older_states_are_removed_leaves_one_to_resume_from(
    run: Runner, done: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree

    def killed(folder: str | Path, ignore_errors: bool = False) -> None:
        if not Path(folder).name.startswith("checkpoint-"):
            return remove(folder, ignore_errors)
        (Path(folder) / "trainable.safetensors").unlink()
        raise Cut

    whole = done(Lora(r=2))
    with monkeypatch.context() as patched, pytest.raises(Cut):
        patched.setattr(shutil, "rmtree", killed)
        run(Lora(r=2), "cut")
    seen: list[int] = []
    resumed = run(Lora(r=2), "cut", tick=lambda step, steps, loss: seen.append(step))
    assert seen[0] == 5, "the state after step 2 was being removed, that after step 4 is whole"
    assert resumed.training()["losses"] == whole.training()["losses"]


def test_a_finished_training_is_not_repeated(run: Runner) -> None:
    folder = run(Lora(r=2))
    before = {file: file.stat().st_mtime_ns for file in folder.path.rglob("*") if file.is_file()}
    run(Lora(r=2), tick=cut_at(1))
    assert {file: file.stat().st_mtime_ns for file in folder.path.rglob("*") if file.is_file()} == before


def test_checkpoints_are_kept_at_log_spaced_steps_and_nothing_to_resume_from_is_left(run: Runner) -> None:
    folder = run(Lora(r=2), checkpoints=3)
    assert list(folder.checkpoints()) == [2, 4, 8]
    assert not folder.resume.exists()


@pytest.mark.parametrize("method", [Lora(r=2), Full()], ids=lambda method: method.name)
def test_the_base_is_given_back_bit_for_bit(done: Runner, miniature: Base, method: Method) -> None:
    done(method)
    assert identity_of(miniature.model) == miniature.identity
    assert "forward" not in vars(miniature.model)
    assert all(tensor.grad is None for tensor in miniature.model.parameters())


def test_a_failing_run_gives_the_base_back_too(run: Runner, miniature: Base) -> None:
    with pytest.raises(Cut):
        run(Full(), tick=cut_at(2))
    assert identity_of(miniature.model) == miniature.identity


def test_an_adapter_checkpoint_opens_with_plain_peft(done: Runner, miniature: Base) -> None:
    folder = done(Lora(r=2))
    with quiet():
        plain = AutoModelForCausalLM.from_pretrained(located("miniature"))
        model = PeftModel.from_pretrained(plain, folder.checkpoint(8))
    ids = torch.arange(3, 20)[None]
    with torch.inference_mode():
        assert not torch.allclose(model(ids).logits, miniature.model(ids).logits, atol=1e-3)


def test_a_full_checkpoint_opens_with_plain_transformers_and_brings_its_tokenizer(done: Runner) -> None:
    folder = done(Full())
    AutoModelForCausalLM.from_pretrained(folder.checkpoint(8))
    assert AutoTokenizer.from_pretrained(folder.checkpoint(8)).eos_token == "</s>"


def test_the_checkpoint_of_rotations_records_which_way_they_turn(done: Runner) -> None:
    folder = done(Oft(block_size=16)).checkpoint(8)
    marks = recorded_marks(folder)
    assert marks == marks_to_record(folder)["turn_marks"]
    assert complaints(folder, marks) == ()
    assert recorded_marks(done(Lora(r=2)).checkpoint(8)) is None


def test_the_facts_say_that_the_run_started_at_the_base_moved_and_reloads(done: Runner) -> None:
    facts = {fact.quantity: fact.value for fact in done(Oft(block_size=16)).facts()}
    assert facts["trainable_params"] == Oft(block_size=16).parameters(open_base("miniature").model)
    assert facts["start_distance"] == 0.0
    assert facts["update_norm"] > 0
    assert facts["reload_difference"] < 1e-4
    assert facts["merge_difference"] < 1e-3
    assert facts["orthogonality_defect"] < 1e-5
    assert facts["dropped_items"] == 0


def test_examples_cut_down_to_nothing_are_counted(miniature: Base, tmp_path: Path) -> None:
    examples = Recall().examples("train", 40)
    prompts = [len(miniature.tokenizer(example.prompt)["input_ids"]) for example in examples]
    limit = sorted(prompts)[20]
    recipe = TrainRecipe(max_steps=2, per_device_train_batch_size=4, max_length=limit)
    folder = RunFolder(tmp_path)
    folder.open(recipe.model_dump(mode="json"))
    train(miniature, Lora(r=2), examples, recipe, folder)
    facts = {fact.quantity: fact.value for fact in folder.facts()}
    assert facts["dropped_items"] == sum(length >= limit for length in prompts)


def test_a_target_of_which_nothing_is_left_is_refused(run: Runner) -> None:
    with pytest.raises(BadData, match="all of its 96 training examples are longer than max_length"):
        run(Lora(r=2), max_length=5)


def test_a_loss_that_is_no_number_stops_the_run_and_says_what_to_try(run: Runner) -> None:
    with pytest.raises(TrainingDiverged, match=r"learning rate 1e\+30; try a lower learning_rate"):
        run(Full(), learning_rate=1e30, warmup_steps=0.0)


def test_training_that_moves_nothing_is_a_fault(run: Runner) -> None:
    with pytest.raises(HoldfastError, match="the update is zero"):
        run(Lora(r=2), learning_rate=1e-45)


def test_a_target_without_examples_is_refused(miniature: Base, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(BadData, match="no training example"):
        train(miniature, Lora(), [], TrainRecipe(), folder)


def test_packing_is_left_to_trl(run: Runner) -> None:
    facts = {fact.quantity: fact for fact in run(Lora(r=2), packing=True, max_length=64, max_steps=3).facts()}
    assert facts["dropped_items"].reason is not None


def test_gradient_accumulation_learns_from_as_many_examples_as_a_larger_batch(run: Runner) -> None:
    at_once = run(Lora(r=2), "at-once", max_steps=2)
    in_parts = run(Lora(r=2), "in-parts", max_steps=2, per_device_train_batch_size=2, gradient_accumulation_steps=2)
    one, other = weights_of(at_once, 2), weights_of(in_parts, 2)
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_a_base_in_half_precision_is_fully_tuned_in_float32_and_saved_as_it_came(run: Runner, tmp_path: Path) -> None:
    base = open_base("miniature", dtype="bfloat16")
    recipe = TrainRecipe(method="full", max_steps=2, per_device_train_batch_size=4, learning_rate=1e-3)
    folder = RunFolder(tmp_path / "half")
    folder.open(recipe.model_dump(mode="json"))
    seen: list[torch.dtype] = []
    train(base, Full(), Cant().examples("train", 8), recipe, folder, lambda *_: seen.append(base.model.dtype))
    assert seen == [torch.float32, torch.float32]
    assert base.model.dtype == torch.bfloat16
    assert identity_of(base.model) == base.identity
    assert {tensor.dtype for tensor in weights_of(folder, 2).values()} == {torch.bfloat16}
