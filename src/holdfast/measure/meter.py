"""One row of the score matrix after each task, while tasks are trained one after the other in anybody's loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from holdfast.core.document import Document, read_document
from holdfast.core.errors import BadData, HoldfastError
from holdfast.core.scores import PointScores, Unit
from holdfast.core.sequence_scores import AbilityScores, SequenceScores
from holdfast.core.task import Split, Task
from holdfast.measure.evaluate import evaluate
from holdfast.measure.same_asking import Asking, asking_of, check_same
from holdfast.metrics.continual.abilities import KINDS, Kind
from holdfast.metrics.continual.runs import SequenceRun
from holdfast.store.files import write_text


class MeterRow(Document):
    """What there was after one task.

    Attributes:
        after_task: Number of the task in the order of training; 0 is the untouched base.
        asking: How it was asked.
        scores: Item by item.
    """

    after_task: int
    asking: Asking
    scores: PointScores


class SequenceMeter:
    """Scores of all tasks and abilities after every task, asked alike each time.

    In a loop of one's own::

        meter = SequenceMeter({"first": one, "second": other}, {"stories": stories})
        meter.measure(model, tokenizer, after_task=0)
        for number, task in enumerate(("first", "second"), start=1):
            ...  # train the model on the task, in any way
            meter.measure(model, tokenizer, after_task=number)
        Path("scores.json").write_text(meter.scores().model_dump_json())  # holdfast continual scores.json

    Args:
        tasks: The tasks in the order in which they are trained, by the names of their scores.
        general: Tasks that stand for general ability and that nobody trains.
        instruction: The same for following instructions.
        safety: The same for safety.
        split: Which items are asked.
        limit: Most items of a task; all where not given.
        max_rows: Most rows in a batch.
        max_tokens: Most tokens in a batch, padding included.
        folder: Where rows are kept, so that tasks may be trained in processes of their own; in memory alone where not
            given.

    Raises:
        BadData: If there is no task or no item, names are not unique, a task is scored in nats, or abilities of a kind
            are scored in different units.
        DamagedCheckpoint: If the folder holds a row that cannot be read.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        general: Mapping[str, Task] | None = None,
        *,
        instruction: Mapping[str, Task] | None = None,
        safety: Mapping[str, Task] | None = None,
        split: Split = "test",
        limit: int | None = None,
        max_rows: int = 64,
        max_tokens: int = 16_384,
        folder: Path | None = None,
    ) -> None:
        self.order = tuple(tasks)
        self._abilities: dict[Kind, tuple[str, ...]] = {}
        self._tasks: dict[str, Task] = dict(tasks)
        for kind, given in zip(KINDS, (general, instruction, safety), strict=True):
            self._take_up(kind, given or {})
        self._check_tasks()
        self._split: Split = split
        self._limit, self._max_rows, self._max_tokens = limit, max_rows, max_tokens
        self._folder = folder
        self._rows: dict[int, MeterRow] = {}
        for t in self._stages:
            if (file := self._file(t)) is not None and file.is_file():
                self._rows[t] = self._kept(file)

    def measure(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, after_task: int) -> PointScores:
        """Ask a model everything and keep the answers as a row.

        Args:
            model: The model as it is now; its weights, its mode and its gradients are left as they are.
            tokenizer: Its tokenizer.
            after_task: How many tasks it was trained on; 0 for the untouched base, before any adapter is put on.

        Returns:
            The row.

        Raises:
            BadData: If it would be asked otherwise than an earlier row, or an item cannot be asked.
            HoldfastError: If the row is there already, or row 0 is asked of a model with an adapter.
        """
        asking = self.check(model, tokenizer, after_task=after_task)
        with _own_forward(model):
            scores = evaluate(
                model,
                tokenizer,
                self._tasks,
                split=self._split,
                limit=self._limit,
                max_rows=self._max_rows,
                max_tokens=self._max_tokens,
            )
        row = self._rows[after_task] = MeterRow(after_task=after_task, asking=asking, scores=scores)
        if (file := self._file(after_task)) is not None:
            write_text(file, row.model_dump_json() + "\n")
        return scores

    def check(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, after_task: int) -> Asking:
        """Find out, without asking, whether a row could be measured now; raises what ``measure`` would.

        Returns:
            How the model would be asked.

        Raises:
            ValueError: If there is no such task.
            HoldfastError: If the row is there already, or row 0 is asked of a model with an adapter.
            BadData: If it would be asked otherwise than an earlier row, or has no items.
        """
        if not 0 <= after_task <= len(self.order):
            raise ValueError(f"after_task is 0 for the base up to {len(self.order)}, found {after_task}")
        if after_task in self._rows:
            where = "" if self._folder is None else f" in {self._file(after_task)}"
            raise HoldfastError(
                f"row {after_task} was measured already{where}; every row belongs to one model: begin another meter, "
                "or say after which task this is"
            )
        if after_task == 0 and any(isinstance(module, BaseTunerLayer) for module in model.modules()):
            raise HoldfastError(
                "row 0 is the untouched base, and this model has an adapter; measure it before the adapter is put on"
            )
        if tokenizer.pad_token_id is None:
            raise BadData(
                "the tokenizer has no padding token, and items are asked in batches; set tokenizer.pad_token = "
                "tokenizer.eos_token before the first row is measured"
            )
        items = {name: (task, task.examples(self._split, self._limit)) for name, task in self._tasks.items()}
        if empty := [name for name, (_, examples) in items.items() if not examples]:
            raise BadData(f"task '{empty[0]}' has no item on split '{self._split}'")
        asking = asking_of(model, tokenizer, items)
        if self._rows:
            first = self._rows[min(self._rows)]
            check_same(asking, first.asking, after_task, first.after_task)
        return asking

    def row(self, after_task: int) -> PointScores | None:
        """Scores item by item after a task, if they were measured."""
        found = self._rows.get(after_task)
        return None if found is None else found.scores

    def scores(self) -> SequenceScores:
        """The matrix so far, as ``holdfast continual`` reads it; what was not measured is missing."""
        return SequenceScores(
            tasks=self.order,
            scores=self._means(self.order),
            abilities=tuple(
                AbilityScores(names=names, scores=self._means(names), kind=kind, unit=self._unit(names))
                for kind, names in self._abilities.items()
            ),
        )

    def run(self, seed: int) -> SequenceRun:
        """The same item by item, for intervals over items, seeds and orders.

        Args:
            seed: Of the training.

        Raises:
            HoldfastError: If nothing was measured yet.
        """
        if not self._rows:
            raise HoldfastError("nothing was measured yet: call measure() on the untouched base and after each task")
        known = next(iter(self._rows.values())).scores
        return SequenceRun(
            order=self.order,
            seed=seed,
            items={task: np.array([self._values(t, task, known) for t in self._stages]) for task in self.order},
        )

    @property
    def _stages(self) -> range:
        return range(len(self.order) + 1)

    def _values(self, t: int, task: str, known: PointScores) -> tuple[float, ...]:
        here, there = (self.row(t) or known).of(task), known.of(task)
        assert here is not None and there is not None, "every row holds every task"
        return here.values if t in self._rows else (float("nan"),) * len(there.values)

    def _means(self, names: tuple[str, ...]) -> tuple[tuple[float | None, ...], ...]:
        found = ([None if (row := self.row(t)) is None else row.of(name) for name in names] for t in self._stages)
        return tuple(tuple(None if one is None else one.mean for one in row) for row in found)

    def _unit(self, names: tuple[str, ...]) -> Unit:
        return "nats/token" if self._tasks[names[0]].ask == "read" else "frac"

    def _kept(self, file: Path) -> MeterRow:
        row = read_document(MeterRow, file, "a row of scores", "was it moved?")
        found = [scores.task for scores in row.scores.tasks]
        if found != list(self._tasks):
            raise BadData(
                f"{file} holds scores of {', '.join(found)}, and the meter is of {', '.join(self._tasks)}; give the "
                "same tasks in the same order, or another folder"
            )
        return row

    def _file(self, t: int) -> Path | None:
        return None if self._folder is None else self._folder / f"row-{t}.json"

    def _take_up(self, kind: Kind, given: Mapping[str, Task]) -> None:
        if twice := sorted(set(given) & set(self._tasks)):
            raise BadData(f"'{twice[0]}' is given twice, again as {kind} ability; every task needs its own name")
        self._tasks.update(given)
        if not given:
            return
        read = [name for name, task in given.items() if task.ask == "read"]
        if len(read) not in {0, len(given)}:
            graded = next(name for name in given if name not in read)
            raise BadData(
                f"{kind} abilities: '{read[0]}' is scored in nats and '{graded}' by its share of right answers, which "
                "have no common mean; give one of them as another kind"
            )
        self._abilities[kind] = tuple(given)

    def _check_tasks(self) -> None:
        if not self.order:
            raise BadData("a sequence needs tasks: give at least one")
        if read := [name for name in self.order if self._tasks[name].ask == "read"]:
            raise BadData(
                f"task '{read[0]}' is scored in nats per token, and the numbers of a sequence are made from scores "
                "within 0 and 1; give it as an ability, or as a task that is answered or chosen"
            )


@contextmanager
def _own_forward(model: PreTrainedModel) -> Iterator[None]:
    """Without what a trainer's mixed precision has put before the forward pass, which a saved model does not have."""
    patched = vars(model).pop("forward", None) if "_original_forward" in vars(model) else None
    try:
        yield
    finally:
        if patched is not None:
            model.forward = patched
