"""After each task one row of the matrix is measured, in the same way every time, in anybody's loop or trainer."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from small import bits, same_bits
from transformers import AutoModelForCausalLM, PreTrainedModel
from trl import SFTConfig, SFTTrainer

from holdfast.cli.continual import measured
from holdfast.core.errors import BadData, DamagedCheckpoint, HoldfastError
from holdfast.core.sequence_scores import read_sequence_scores
from holdfast.core.task import Ask, Example, Split, Task
from holdfast.measure.evaluate import evaluate
from holdfast.measure.meter import SequenceMeter
from holdfast.measure.meter_callback import MeterCallback
from holdfast.measure.points import Checkpoint
from holdfast.methods.lora import Lora
from holdfast.testing.laws import small_model
from holdfast.weights.quiet import quiet


@dataclass(frozen=True)
class Quiz:
    items: tuple[Example, ...]
    ask: Ask = "choose"
    name: str = "quiz"
    chance_frac: float = 0.5
    max_new_tokens: int = 3

    def examples(self, split: Split, limit: int | None = None, seed: int = 0) -> tuple[Example, ...]:
        return self.items[:limit] if split == "test" else ()

    def grade(self, example: Example, response: str) -> float:
        return float(response.strip() == example.answer.strip())


def quiz(letter: str, items: int = 6, ask: Ask = "choose") -> Quiz:
    return Quiz(
        tuple(Example(f"{letter}{i}", f"{letter * (i + 1)}:", f" {'xy'[i % 2]}", (" x", " y")) for i in range(items)),
        ask,
    )


ONE, OTHER, STORIES = quiz("a"), quiz("b", 4), quiz("c", 3, "read")


def meter(**options: Any) -> SequenceMeter:
    return SequenceMeter({"one": ONE, "other": OTHER}, {"stories": STORIES}, **options)


def moved(seed: int) -> PreTrainedModel:
    model = small_model()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(0.1 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed)))
    return model


def trained(model: Any, letters: Any, folder: Path, *callbacks: Any, **options: Any) -> SFTTrainer:
    rows = Dataset.from_list([{"prompt": e.prompt, "completion": e.answer} for e in ONE.items])
    given = {
        "max_steps": 2,
        "learning_rate": 1e-2,
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "activation_checkpointing": False,
    }
    args = SFTConfig(output_dir=str(folder), save_strategy="no", disable_tqdm=True, **{**given, **options})
    with quiet():
        trainer = SFTTrainer(model, args=args, train_dataset=rows, processing_class=letters, callbacks=list(callbacks))
        trainer.train()
    return trainer


def test_rows_are_what_the_evaluator_says(letters: Any, tmp_path: Path) -> None:
    ours, tasks = meter(), {"one": ONE, "other": OTHER, "stories": STORIES}
    rows = [evaluate(moved(t), letters, tasks, split="test") for t in range(3)]
    assert [ours.measure(moved(t), letters, after_task=t) for t in range(3)] == rows
    assert [ours.row(t) for t in range(3)] == rows
    found = ours.scores()
    assert found.tasks == ("one", "other")
    for t, row in enumerate(rows):
        assert found.scores[t] == tuple(scores.mean for scores in row.tasks[:2])
        assert found.abilities[0].scores[t] == (row.tasks[2].mean,)
    assert (found.abilities[0].kind, found.abilities[0].unit) == ("general", "nats/token")
    run = ours.run(seed=4)
    assert (run.order, run.seed) == (("one", "other"), 4)
    for name in run.order:
        wanted = [scores.values for row in rows if (scores := row.of(name)) is not None]
        np.testing.assert_array_equal(run.items[name], wanted)
    (tmp_path / "scores.json").write_text(found.model_dump_json())
    assert read_sequence_scores(tmp_path / "scores.json") == found
    told = {record.quantity: record for record in measured(found, "scores.json", percent=False)}
    assert told["final_accuracy"].value == pytest.approx(np.mean([s for s in found.scores[2] if s is not None]))
    assert told["general_delta"].value == pytest.approx(rows[2].tasks[2].mean - rows[0].tasks[2].mean)


@pytest.mark.parametrize("precision", [{}, {"bf16": True}], ids=["float32", "mixed precision"])
def test_a_trainer_fills_the_row_that_the_saved_model_gets(
    letters: Any, tmp_path: Path, precision: dict[str, bool]
) -> None:
    ours, model = meter(), small_model()
    base = ours.measure(model, letters, after_task=0)
    trainer = trained(model, letters, tmp_path / "out", MeterCallback(ours, after_task=1), **precision)
    trainer.save_model(str(tmp_path / "saved"))
    reopened = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", dtype=torch.float32)
    alone = evaluate(reopened, letters, {"one": ONE, "other": OTHER, "stories": STORIES}, split="test")
    assert ours.row(1) == alone != base
    assert ours.scores().scores[2] == (None, None)
    assert np.isnan(ours.run(0).items["other"][2]).all()


def test_an_adapter_fills_the_row_that_its_folder_gets(letters: Any, tmp_path: Path) -> None:
    ours, model = meter(), small_model()
    ours.measure(model, letters, after_task=0)
    attachment = Lora(r=2).attach(model)
    trained(attachment.model, letters, tmp_path / "out", MeterCallback(ours, after_task=1))
    attachment.save(tmp_path / "adapter")
    base = attachment.detach()
    vars(base).pop("forward", None)
    with Checkpoint(tmp_path / "adapter").on(base) as live:
        alone = evaluate(live, letters, {"one": ONE, "other": OTHER, "stories": STORIES}, split="test")
    row = ours.row(1)
    assert row is not None
    for one, two in zip(row.tasks, alone.tasks, strict=True):
        assert one.values == pytest.approx(two.values, abs=1e-5)
    assert row != ours.row(0)


def test_measuring_leaves_the_model_as_it_is(letters: Any) -> None:
    model = small_model().train()
    model.forward = model.forward  # type: ignore[method-assign]
    vars(model)["_original_forward"] = None
    before, forward, numbers = bits(model), model.forward, torch.get_rng_state()
    meter().measure(model, letters, after_task=0)
    assert same_bits(bits(model), before)
    assert model.training
    assert model.forward is forward
    assert torch.equal(torch.get_rng_state(), numbers)


def test_rows_in_a_folder_are_taken_up_again(letters: Any, tmp_path: Path) -> None:
    whole = meter()
    for t in (0, 1):
        whole.measure(moved(t), letters, after_task=t)
        meter(folder=tmp_path).measure(moved(t), letters, after_task=t)
    again = meter(folder=tmp_path)
    assert again.scores() == whole.scores()
    with pytest.raises(HoldfastError, match=r"row 1 was measured already in .*row-1\.json; every row belongs to one"):
        again.measure(moved(1), letters, after_task=1)
    with pytest.raises(BadData) as caught:
        SequenceMeter({"other": OTHER, "one": ONE}, folder=tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'row-0.json'} holds scores of one, other, stories, and the meter is of other, one; give the "
        "same tasks in the same order, or another folder"
    )
    (tmp_path / "row-0.json").write_text(json.dumps({"after_task": 0}))
    with pytest.raises(DamagedCheckpoint, match="does not hold a row of scores"):
        meter(folder=tmp_path)


LATER = "; rows are compared item by item, so give every one of them the same tasks and the same tokenizer"


def test_another_template_is_refused(letters: Any) -> None:
    ours = meter()
    ours.measure(small_model(), letters, after_task=0)
    letters.chat_template = "{{ messages }}"
    try:
        with pytest.raises(BadData) as caught:
            ours.measure(small_model(), letters, after_task=1)
    finally:
        letters.chat_template = None
    assert str(caught.value) == (
        f"row 1 would be asked otherwise than row 0: the chat template of the tokenizer is another{LATER}"
    )
    assert ours.row(1) is None


def test_another_tokenizer_is_refused(letters: Any, bare: Any) -> None:
    ours = meter()
    ours.measure(small_model(), letters, after_task=2)
    with pytest.raises(BadData) as caught:
        ours.measure(small_model(), bare, after_task=0)
    assert str(caught.value) == (
        "row 0 would be asked otherwise than row 2: the tokenizer cuts the items of task 'one' into other "
        f"tokens{LATER}"
    )


def test_other_ends_are_refused(letters: Any) -> None:
    ours, model = meter(), small_model()
    ours.measure(model, letters, after_task=0)
    model.generation_config.eos_token_id = [2, 7]
    with pytest.raises(BadData) as caught:
        ours.measure(model, letters, after_task=1)
    assert str(caught.value) == (
        f"row 1 would be asked otherwise than row 0: answers end with the tokens [2, 7] and ended with [2]{LATER}"
    )


@pytest.mark.parametrize(
    "other",
    [
        replace(OTHER, items=OTHER.items[:3]),
        replace(OTHER, items=OTHER.items[::-1]),
        replace(OTHER, ask="generate"),
        replace(OTHER, max_new_tokens=4),
        replace(OTHER, items=(replace(OTHER.items[0], choices=(" y", " x")), *OTHER.items[1:])),
    ],
    ids=["fewer", "another order", "asked otherwise", "longer answers", "other choices"],
)
def test_other_items_are_refused(letters: Any, tmp_path: Path, other: Task) -> None:
    meter(folder=tmp_path).measure(small_model(), letters, after_task=0)
    ours = SequenceMeter({"one": ONE, "other": other}, {"stories": STORIES}, folder=tmp_path)
    with pytest.raises(BadData) as caught:
        ours.measure(small_model(), letters, after_task=1)
    assert str(caught.value) == (
        f"row 1 would be asked otherwise than row 0: task 'other' has other items, or puts them otherwise{LATER}"
    )


def test_the_base_is_measured_before_an_adapter_is_put_on(letters: Any) -> None:
    with pytest.raises(HoldfastError) as caught:
        meter().measure(Lora().attach(small_model()).model, letters, after_task=0)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "row 0 is the untouched base, and this model has an adapter; measure it before the adapter is put on"
    )


def test_a_row_that_cannot_be_measured_is_refused_before_training(letters: Any, tmp_path: Path) -> None:
    ours, model = meter(), small_model()
    ours.measure(moved(1), letters, after_task=1)
    before = bits(model)
    with pytest.raises(HoldfastError) as caught:
        trained(model, letters, tmp_path, MeterCallback(ours, after_task=1))
    assert str(caught.value) == (
        "row 1 was measured already; every row belongs to one model: begin another meter, or say after which task "
        "this is"
    )
    assert same_bits(bits(model), before)


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_callback_belongs_to_a_task(number: int) -> None:
    with pytest.raises(ValueError, match=f"the number of the task that is trained, 1 to 2, found {number}"):
        MeterCallback(meter(), after_task=number)


def test_what_cannot_be_measured_is_told(letters: Any) -> None:
    with pytest.raises(ValueError, match="after_task is 0 for the base up to 2, found 3"):
        meter().measure(small_model(), letters, after_task=3)
    with pytest.raises(HoldfastError, match="nothing was measured yet"):
        meter().run(0)
    with pytest.raises(BadData, match="task 'one' has no item on split 'train'"):
        meter(split="train").measure(small_model(), letters, after_task=0)
    unpadded = copy.deepcopy(letters)
    unpadded.pad_token = None
    with pytest.raises(BadData, match="no padding token, and items are asked in batches; set tokenizer"):
        meter().measure(small_model(), unpadded, after_task=0)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (({},), "a sequence needs tasks: give at least one"),
        (
            ({"one": ONE}, {"one": OTHER}),
            "'one' is given twice, again as general ability; every task needs its own name",
        ),
        (
            ({"one": STORIES},),
            "task 'one' is scored in nats per token, and the numbers of a sequence are made from scores within 0 and "
            "1; give it as an ability, or as a task that is answered or chosen",
        ),
        (
            ({"one": ONE}, {"a": STORIES, "b": OTHER}),
            "general abilities: 'a' is scored in nats and 'b' by its share of right answers, which have no common "
            "mean; give one of them as another kind",
        ),
    ],
)
def test_tasks_that_make_no_matrix_are_refused(given: tuple[Any, ...], fault: str) -> None:
    with pytest.raises(BadData) as caught:
        SequenceMeter(*given)
    assert str(caught.value) == fault


def test_abilities_are_of_several_kinds(letters: Any) -> None:
    ours = SequenceMeter({"one": ONE}, {"stories": STORIES}, safety={"other": OTHER}, limit=2)
    row = ours.measure(small_model(), letters, after_task=0)
    assert [len(scores.ids) for scores in row.tasks] == [2, 2, 2]
    kinds = [(one.kind, one.names, one.unit) for one in ours.scores().abilities]
    assert kinds == [("general", ("stories",), "nats/token"), ("safety", ("other",), "frac")]
