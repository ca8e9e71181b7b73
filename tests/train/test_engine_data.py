"""What methods see of the data: material before training, rows they mix or order, several tasks; all of it resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from holdfast.core.errors import BadData, HoldfastError
from holdfast.core.isolation import IsolationCourse
from holdfast.core.recipe import TrainRecipe
from holdfast.core.record import Record
from holdfast.core.task import Example
from holdfast.methods.adalora import AdaLora
from holdfast.methods.ewc import Ewc
from holdfast.methods.kl import Kl
from holdfast.methods.l2_sp import L2Sp
from holdfast.methods.lora import Lora
from holdfast.methods.mas import Mas
from holdfast.methods.on_top import OnTop, OnTopAttachment
from holdfast.methods.replay import Replay
from holdfast.methods.si import Si
from holdfast.models.base import Base
from holdfast.models.identity import identity_of
from holdfast.store.run import RunFolder
from holdfast.tasks.recall import Recall
from holdfast.train.engine import train
from holdfast.train.trainer import CompletionTrainer
from holdfast.weights.material import Material

Runner = Callable[..., RunFolder]


class Cut(Exception):
    """The moment at which a run is cut off."""


def cut_at_5(now: int, steps: int, loss: float | None) -> None:
    if now == 5:
        raise Cut


def weights_of(folder: RunFolder, step: int) -> dict[str, torch.Tensor]:
    (file,) = folder.checkpoint(step).glob("*.safetensors")
    return load_file(file)


def same(one: RunFolder, other: RunFolder, step: int = 8) -> bool:
    first, second = weights_of(one, step), weights_of(other, step)
    assert one.training()["losses"] and first.keys() == second.keys()
    alike = all(torch.equal(first[name], second[name]) for name in first)
    return alike and one.training()["losses"] == other.training()["losses"]


PULLS: list[OnTop] = [
    L2Sp(strength=1.0),
    Ewc(strength=1.0),
    Mas(strength=1.0),
    Si(strength=1.0, steps=2),
    Kl(),
    Replay(share=0.3),
]
slow = pytest.mark.slow
ON = {"lora": "lora(r=2, dropout=0.1)", "full": "full"}


QUICK = {("kl", "lora"), ("ewc", "full"), ("replay", "lora")}
"""Combinations that are tried each time; the others take long and are much like them."""

COMBINATIONS = [
    pytest.param(replace(method, on=spec), id=f"{method.name}-{on}", marks=[] if (method.name, on) in QUICK else [slow])
    for method in PULLS
    for on, spec in ON.items()
]


@pytest.mark.parametrize("method", COMBINATIONS)
def test_a_pulled_back_run_that_was_cut_off_ends_as_one_that_was_not(
    run: Runner, known: list[Example], method: OnTop
) -> None:
    whole = run(method, "whole", source=known)
    with pytest.raises(Cut):
        run(method, "cut", tick=cut_at_5, source=known)
    assert same(run(method, "cut", source=known), whole)


def test_both_of_two_methods_that_remember_are_resumed(run: Runner, known: list[Example]) -> None:
    method = Ewc(on=AdaLora(init_r=3).spec())
    whole = run(method, "whole", source=known)
    with pytest.raises(Cut):
        run(method, "cut", tick=cut_at_5, source=known)
    assert same(run(method, "cut", source=known), whole)


@pytest.mark.parametrize("method", COMBINATIONS)
def test_without_strength_a_run_is_bit_for_bit_that_of_the_inner_method(
    run: Runner, known: list[Example], method: OnTop
) -> None:
    weak = "share" if isinstance(method, Replay) else "strength"
    idle = replace(method, **{weak: 0.0})  # type: ignore[arg-type]
    plain = run(method.inner, "plain", max_steps=4)
    assert same(run(idle, "idle", source=known, max_steps=4), plain, step=4)
    assert not same(run(method, "strong", source=known, max_steps=4), plain, step=4)


class Looking(OnTopAttachment):
    """Reads all it is given and remembers it."""

    seen: ClassVar[list[tuple[Mapping[str, list[Any]], list[Any]]]] = []

    def prepare(self, material: Material) -> None:
        target = {task: list(batches) for task, batches in material.target.items()}
        Looking.seen.append((target, list(material.source)))
        torch.rand(7)

    def facts(self) -> Sequence[Record]:
        return [Record(subject="run", quantity="seen", value=1.0)]


@dataclass(frozen=True)
class Looks(OnTop):
    """A method that looks at data and does nothing with it."""

    name: ClassVar[str] = "looks"
    kind: ClassVar[type[OnTopAttachment]] = Looking

    def attach(self, model: nn.Module) -> OnTopAttachment:
        return self.kind(self.inner.attach(model))


def answers(base: Base, batches: list[Any]) -> list[str]:
    """What is learned of each row, as text."""
    rows = [row for batch in batches for row in batch["labels"]]
    return [base.tokenizer.decode(row[row != -100], skip_special_tokens=True) for row in rows]


def test_a_method_is_shown_every_task_and_the_source_and_trains_as_if_it_had_not(
    run: Runner, done: Runner, miniature: Base, examples: list[Example], known: list[Example]
) -> None:
    tasks = ["one", "other"] * 48
    Looking.seen.clear()
    looked = run(Looks(on=ON["lora"]), "looked", tasks=tasks, source=known)
    ((target, source),) = Looking.seen
    assert answers(miniature, target["one"]) == [e.answer for e in examples[::2]]
    assert answers(miniature, target["other"]) == [e.answer for e in examples[1::2]]
    assert answers(miniature, source) == [e.answer for e in known]
    assert {len(batch["input_ids"]) for batch in source} == {4}
    assert same(looked, done(Lora(r=2, dropout=0.1)))
    assert "seen" in {fact.quantity for fact in looked.facts()}


def test_a_resumed_run_looks_again_at_the_same(run: Runner, known: list[Example]) -> None:
    Looking.seen.clear()
    with pytest.raises(Cut):
        run(Looks(on="lora(r=2)"), "cut", tick=cut_at_5, source=known)
    run(Looks(on="lora(r=2)"), "cut", source=known)
    (_, first), (_, second) = Looking.seen
    for one, other in zip(first, second, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


class Careless(OnTopAttachment):
    """Leaves a tensor other than it was."""

    def prepare(self, material: Material) -> None:
        next(iter(material.source))
        with torch.no_grad():
            next(iter(self.trainable().values())).add_(1.0)


@dataclass(frozen=True)
class Spoils(Looks):
    """A method that must not be trusted with data."""

    kind: ClassVar[type[OnTopAttachment]] = Careless


def test_what_spoils_the_model_while_looking_is_stopped_and_the_base_given_back(
    run: Runner, known: list[Example], miniature: Base
) -> None:
    with pytest.raises(HoldfastError, match=r"must leave all tensors as they were"):
        run(Spoils(), source=known)
    assert identity_of(miniature.model) == miniature.identity


class Sorting(OnTopAttachment):
    """Trains on one task after the other, the last one first."""

    asked: ClassVar[list[tuple[list[str], int, int]]] = []

    def order(self, tasks: Sequence[str], rows: int, seed: int) -> list[int]:
        Sorting.asked.append((list(tasks), rows, seed))
        return sorted(range(len(tasks)), key=lambda at: tasks[at], reverse=True)[:rows]


@dataclass(frozen=True)
class Sorts(Looks):
    """A method with an order of its own."""

    kind: ClassVar[type[OnTopAttachment]] = Sorting


@pytest.fixture
def trained_on(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The rows of tokens that training reads, in order."""
    rows: list[list[int]] = []
    plain = CompletionTrainer.compute_loss

    def noting(trainer: Any, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
        rows.extend(
            row[mask.bool()].tolist() for row, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        )
        return plain(trainer, model, inputs, *more, **named)

    monkeypatch.setattr(CompletionTrainer, "compute_loss", noting)
    return rows


def test_rows_come_in_the_order_that_a_method_gives_also_when_resumed(
    run: Runner, miniature: Base, examples: list[Example], trained_on: list[list[int]]
) -> None:
    tasks = ["one", "other"] * 48
    Sorting.asked.clear()
    whole = run(Sorts(on="lora(r=2)"), "whole", tasks=tasks)
    assert Sorting.asked == [(tasks, 32, 1)]
    texts = miniature.tokenizer.batch_decode(trained_on, skip_special_tokens=True)
    assert texts == [e.prompt + e.answer for e in examples[1:64:2]]  # type: ignore[operator]
    with pytest.raises(Cut):
        run(Sorts(on="lora(r=2)"), "cut", tick=cut_at_5, tasks=tasks)
    assert same(run(Sorts(on="lora(r=2)"), "cut", tasks=tasks), whole)


def test_rows_that_trl_drops_are_not_among_those_that_are_ordered(miniature: Base, tmp_path: Path) -> None:
    examples = Recall().examples("train", 40)
    lengths = [len(miniature.tokenizer(example.prompt)["input_ids"]) for example in examples]
    limit = sorted(lengths)[20]
    tasks = [f"{at}" for at in range(40)]
    recipe = TrainRecipe(max_steps=2, per_device_train_batch_size=4, max_length=limit)
    folder = RunFolder(tmp_path)
    folder.open(recipe.model_dump(mode="json"))
    Sorting.asked.clear()
    train(miniature, Sorts(on="lora(r=2)"), examples, recipe, folder, tasks=tasks)
    ((left, _, _),) = Sorting.asked
    assert left == [task for task, length in zip(tasks, lengths, strict=True) if length < limit]


def test_packed_rows_cannot_be_ordered(run: Runner) -> None:
    with pytest.raises(
        HoldfastError, match=r"looks\(on=.*\) orders rows by their task, and packed rows have none; set packing"
    ):
        run(Sorts(on="lora(r=2)"), packing=True, max_length=64)


def test_an_order_of_another_length_is_refused(run: Runner) -> None:
    with pytest.raises(HoldfastError, match="asked for the order of 4000 rows, and gave 96"):
        run(Sorts(on="lora(r=2)"), max_steps=1000)


def test_replayed_examples_are_trained_on_in_their_share(
    run: Runner, miniature: Base, known: list[Example], trained_on: list[list[int]]
) -> None:
    run(Replay(share=0.25, on="lora(r=2)"), source=known, max_steps=32)
    texts = miniature.tokenizer.batch_decode(trained_on, skip_special_tokens=True)
    counts = Counter(text in {e.prompt + e.answer for e in known} for text in texts)  # type: ignore[operator]
    assert counts == {True: 32, False: 96}


def test_methods_that_need_a_source_say_so_where_there_is_none(run: Runner, miniature: Base) -> None:
    for method in (Ewc(), Kl(), Replay()):
        with pytest.raises(BadData, match=f"{method.name} .*examples of what the model already knows"):
            run(method, method.name)
    assert identity_of(miniature.model) == miniature.identity


class Holding(OnTopAttachment):
    """Tells of a choice that it has not made."""

    def course(self) -> IsolationCourse:
        return COURSE


COURSE = IsolationCourse(
    method="holds",
    eligible=10,
    params=20,
    examined=10,
    refreshes=(),
    jaccard=(),
    chance_jaccard=0.1,
    ages_steps=((3, 2),),
    shares=(),
    extra_bytes=5,
)


@dataclass(frozen=True)
class Holds(Looks):
    """A method that holds scalars."""

    kind: ClassVar[type[OnTopAttachment]] = Holding


def test_the_course_of_an_isolation_is_kept_in_the_folder(run: Runner, done: Runner) -> None:
    assert run(Holds(on="lora(r=2)"), "holds").isolation() == COURSE
    assert done(Lora(r=2)).isolation() is None


def test_examples_without_named_tasks_are_those_of_the_target(run: Runner) -> None:
    Looking.seen.clear()
    run(Looks(on="lora(r=2)"), target="cant", max_steps=2)
    assert list(Looking.seen[0][0]) == ["cant"]
    assert Looking.seen[0][1] == []
