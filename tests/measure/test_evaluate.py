"""A model is asked every item once, in the same batches as any other, and its scores keep the names of the items."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from holdfast.core.errors import BadData
from holdfast.core.scores import PointScores, TaskScores
from holdfast.core.task import Ask, Example, Split, Task
from holdfast.measure.answers import answers
from holdfast.measure.choices import choice_loglikelihoods, likeliest
from holdfast.measure.evaluate import evaluate
from holdfast.measure.points import Checkpoint
from holdfast.measure.reading import read
from holdfast.methods.lora import Lora
from holdfast.models.base import Base
from holdfast.tasks.chronicle import Chronicle
from holdfast.tasks.endings import Endings
from holdfast.tasks.instructions import Instructions


@dataclass(frozen=True)
class Quiz:
    """Items as they are given, and a mark for whatever is said."""

    ask: Ask
    items: tuple[Example, ...]
    mark: Callable[[Example, str], float] = lambda example, said: 0.25
    name: str = "quiz"
    chance_frac: float = 0.125
    max_new_tokens: int = 6
    wanted: list[tuple[Split, int | None, int]] = field(default_factory=list)

    def examples(self, split: Split, limit: int | None = None, seed: int = 0) -> Sequence[Example]:
        self.wanted.append((split, limit, seed))
        return self.items[:limit] if split == "test" else ()

    def grade(self, example: Example, response: str) -> float:
        return self.mark(example, response)


def three(items: Sequence[Example]) -> dict[str, Task]:
    return {ask: Quiz(ask, tuple(items)) for ask in ("generate", "choose", "read")}


def the(scores: PointScores) -> TaskScores:
    assert len(scores.tasks) == 1
    return scores.tasks[0]


def test_only_some_items_are_asked_where_that_is_said(
    model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    tasks = {**three(questions), "other": Quiz("generate", tuple(questions))}
    some = [item.id for item in (questions[4], questions[1])]
    whole = evaluate(model, letters, tasks, split="test")
    found = evaluate(model, letters, tasks, split="test", only={"choose": some, "read": some, "generate": ()})
    assert [scores.task for scores in found.tasks] == ["choose", "read", "other"]
    assert found.tasks[0].ids == found.tasks[1].ids == (questions[1].id, questions[4].id)
    read, all_read = found.of("read"), whole.of("read")
    assert read is not None and all_read is not None
    assert read.values == pytest.approx([all_read.values[1], all_read.values[4]], abs=1e-5)
    assert found.of("other") == whole.of("other")


def test_answers_are_graded_one_by_one(model: PreTrainedModel, letters: Any, questions: list[Example]) -> None:
    said: dict[str, str] = {}

    def mark(example: Example, response: str) -> float:
        said[example.id] = response
        return len(said) / 10

    task = Quiz("generate", tuple(questions), mark)
    assert isinstance(task, Task)
    found = the(evaluate(model, letters, {"kept as this": task}, split="test"))
    wanted = answers(model, letters, questions, max_new_tokens=6)
    assert said == {question.id: answer.text for question, answer in zip(questions, wanted, strict=True)}
    assert found == TaskScores(
        task="kept as this",
        ask="generate",
        unit="frac",
        chance_frac=0.125,
        ids=tuple(f"q{i}" for i in range(7)),
        values=tuple((i + 1) / 10 for i in range(7)),
        weights=(1.0,) * 7,
        truncated_frac=sum(answer.truncated for answer in wanted) / 7,
    )


def test_the_share_of_answers_cut_off_is_told(miniature: Base) -> None:
    items = tuple(Instructions().examples("test", 8))
    cut = sum(one.truncated for one in answers(miniature.model, miniature.tokenizer, items, max_new_tokens=4))
    assert 0 < cut < 8
    task = Quiz("generate", items, max_new_tokens=4)
    assert the(evaluate(miniature.model, miniature.tokenizer, {"q": task}, split="test")).truncated_frac == cut / 8


def test_the_likeliest_choice_is_graded(model: PreTrainedModel, letters: Any, questions: list[Example]) -> None:
    task = Quiz("choose", tuple(questions), lambda example, said: example.choices.index(said) / 2)
    found = the(evaluate(model, letters, {"quiz": task}, split="test"))
    likelihoods = choice_loglikelihoods(model, letters, questions)
    chosen = [likeliest(question, values) for question, values in zip(questions, likelihoods, strict=True)]
    assert found == TaskScores(
        task="quiz",
        ask="choose",
        unit="frac",
        chance_frac=0.125,
        ids=tuple(question.id for question in questions),
        values=tuple(question.choices.index(said) / 2 for question, said in zip(questions, chosen, strict=True)),
        weights=(1.0,) * 7,
    )


def test_texts_are_scored_by_likelihood_a_token_and_weighed_by_tokens(
    model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    tuned = copy.deepcopy(model)
    with torch.no_grad():
        tuned.lm_head.weight.mul_(1.2)
    wanted = read(tuned, letters, questions, base=model)
    found = the(evaluate(tuned, letters, {"quiz": Quiz("read", tuple(questions))}, split="test", base=model))
    assert found == TaskScores(
        task="quiz",
        ask="read",
        unit="nats/token",
        ids=tuple(question.id for question in questions),
        values=tuple(-text.nats / text.tokens for text in wanted),
        weights=tuple(float(text.tokens) for text in wanted),
        kl_nats=tuple(text.kl_nats or 0.0 for text in wanted),
    )
    tokens = sum(text.tokens for text in wanted)
    assert found.mean == pytest.approx(-sum(text.nats for text in wanted) / tokens)
    assert found.mean_kl_nats_per_token == pytest.approx(sum(text.kl_nats or 0.0 for text in wanted) / tokens)
    assert found.mean_kl_nats_per_token > 0


def test_divergence_is_told_of_texts_and_only_with_a_base(
    model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    tasks = three(questions)
    assert [task.kl_nats for task in evaluate(model, letters, tasks, split="test").tasks] == [None] * 3
    with_base = evaluate(model, letters, tasks, split="test", base=model)
    assert [task.kl_nats for task in with_base.tasks] == [None, None, (0.0,) * 7]


def test_tasks_stay_in_order_under_the_names_they_are_given(
    model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    tasks = {f"{ask} it": task for ask, task in three(questions).items()}
    found = evaluate(model, letters, tasks, split="test", limit=3)
    assert found.split == "test"
    assert [task.task for task in found.tasks] == ["generate it", "choose it", "read it"]
    assert [task.ask for task in found.tasks] == ["generate", "choose", "read"]
    assert {task.ids for task in found.tasks} == {("q0", "q1", "q2")}
    assert [task.wanted for task in tasks.values() if isinstance(task, Quiz)] == [[("test", 3, 0)]] * 3
    assert evaluate(model, letters, {}, split="validation") == PointScores(split="validation", tasks=())


@pytest.mark.parametrize("sizes", [{}, {"max_rows": 1}, {"max_rows": 4}, {"max_tokens": 50}], ids=str)
def test_scores_do_not_depend_on_batches(
    model: PreTrainedModel, letters: Any, questions: list[Example], sizes: dict[str, int]
) -> None:
    wanted = evaluate(model, letters, three(questions), split="test", base=model)
    found = evaluate(model, letters, three(questions), split="test", base=model, **sizes)
    for one, other in zip(found.tasks, wanted.tasks, strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-5)
        assert one.model_copy(update={"values": ()}) == other.model_copy(update={"values": ()})


def test_base_and_tuned_model_are_asked_in_the_same_batches(
    miniature: Base, passes: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    attachment = Lora().attach(copy.deepcopy(miniature.model))
    with torch.no_grad():
        for tensor in attachment.trainable().values():
            tensor.add_(0.05)
    attachment.save(tmp_path)
    base = attachment.detach()
    tasks = {
        "instructions": Quiz("generate", tuple(Instructions().examples("test", 7)), max_new_tokens=1),
        "endings": Endings(),
        "chronicle": Chronicle(),
    }
    plain, tuned = passes(miniature.model), passes(base)
    before = evaluate(miniature.model, miniature.tokenizer, tasks, split="test", limit=7, max_rows=8)
    with Checkpoint(tmp_path).on(base) as model:
        after = evaluate(model, miniature.tokenizer, tasks, split="test", limit=7, max_rows=8, base=miniature.model)
    read_by_both = plain[len(tuned) :]
    assert plain[: len(tuned)] == tuned
    assert read_by_both == tuned[-len(read_by_both) :]
    assert [task.ids for task in before.tasks] == [task.ids for task in after.tasks]
    assert before.tasks[2].weights == after.tasks[2].weights
    assert before.tasks[2].values != after.tasks[2].values


@pytest.mark.parametrize("max_rows", [2, 64])
def test_items_that_are_done_are_told_as_they_are_done(
    model: PreTrainedModel, letters: Any, questions: list[Example], max_rows: int
) -> None:
    for task in three([*questions, Example("long", "x", "y" * 40, ("z", "y"))]).values():
        told: list[int] = []
        evaluate(model, letters, {"quiz": task}, split="test", max_rows=max_rows, tick=told.append)
        assert sum(told) == 8
        assert (len(told) > 2) == (max_rows == 2)


def test_a_text_of_several_windows_is_one_item(model: PreTrainedModel, letters: Any) -> None:
    told: list[int] = []
    items = (Example("long", "", "y" * 200), Example("short", "", "yz"))
    found = the(evaluate(model, letters, {"q": Quiz("read", items)}, split="test", max_rows=2, tick=told.append))
    assert sum(told) == 2
    assert found.weights == (200.0, 2.0)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_items_is_refused(
    model: PreTrainedModel, letters: Any, questions: list[Example], split: Split
) -> None:
    with pytest.raises(BadData) as caught:
        evaluate(model, letters, {"my quiz": Quiz("read", tuple(questions))}, split=split)
    assert str(caught.value) == f"task 'my quiz' has no item on split '{split}'"


LONG = "tokens with its answer, and the model reads 64; shorten the prompts or leave them out"
SHORT = "is too short to be read: it has no token that follows another; leave it out"
PLAIN = "the data holds conversations and the model's tokenizer has no chat template; give plain prompts"
TALK = Example("e", ({"role": "user", "content": "x"},), "y", ("y", "z"))


@pytest.mark.parametrize(
    ("ask", "item", "wanted"),
    [
        ("generate", Example("e", "x" * 70, ""), f"the longest prompt to be answered has 77 {LONG}"),
        ("choose", Example("e", "x" * 70, "", ("y", "zz")), f"the longest prompt to be chosen from has 73 {LONG}"),
        ("choose", Example("e", "x", "", ("y", "")), "'e' has a choice that adds no token to its prompt; leave it out"),
        (
            "read",
            Example("e", "", ""),
            f"'e' {SHORT}",
        ),
        ("generate", TALK, PLAIN),
        ("choose", TALK, PLAIN),
        ("read", TALK, PLAIN),
    ],
)
def test_an_item_that_cannot_be_asked_is_refused_with_the_name_of_its_task(
    model: PreTrainedModel, letters: Any, ask: Ask, item: Example, wanted: str
) -> None:
    with pytest.raises(BadData) as caught:
        evaluate(model, letters, {"my quiz": Quiz(ask, (item,))}, split="test")
    assert str(caught.value) == f"task 'my quiz': {wanted}"


def test_a_model_in_training_is_asked_without_dropout_and_stays_in_training(
    model: PreTrainedModel, letters: Any, questions: list[Example]
) -> None:
    tuned = Lora(r=2, dropout=0.5).attach(model).model
    with torch.no_grad():
        for tensor in tuned.parameters():
            if tensor.requires_grad:
                tensor.add_(0.1)
    wanted = evaluate(tuned.eval(), letters, three(questions), split="test")
    tuned.train()
    tuned.get_input_embeddings().eval()
    modes = {name: module.training for name, module in tuned.named_modules()}
    assert evaluate(tuned, letters, three(questions), split="test") == wanted
    assert {name: module.training for name, module in tuned.named_modules()} == modes
