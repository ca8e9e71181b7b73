"""Eleven points on the way of an adapter: merging, evaluating and unmerging each, against a model that is led along."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from benchmarks.harness import side_by_side, table
from benchmarks.rewinding_planted import HIDDEN, ITEMS, LAYERS, RANK, planted
from holdfast.core.rewinding import Walk
from holdfast.core.scores import PointScores
from holdfast.measure.skipping import Skipping
from holdfast.measure.walking import Questions, Search, walk
from holdfast.weights.path import Walkable
from holdfast.weights.paths.catalogue import path_of
from holdfast.weights.quiet import quiet

POINTS = tuple(step / 10 for step in range(11))
MOST_WRONG_FRAC = 0.01
REPEATS = 3
SEARCH = Search(first=POINTS, budget=len(POINTS))


@dataclass(frozen=True)
class Bench:
    """A base, an adapter on disk, and what the points between them are asked.

    Attributes:
        questions: What each point is asked, over a base that is led along.
        folder: The adapter.
        merged: Another copy of the base, which the plain way merges into and takes out of again.
    """

    questions: Questions
    folder: Path
    merged: PreTrainedModel

    def plainly(self) -> list[PointScores]:
        """By peft's own functions: for each point the adapter is scaled, merged, asked and taken out again."""
        with loaded(self.merged, self.folder) as adapter:
            found = []
            for t in POINTS:
                with merged(adapter, t):
                    found.append(self.questions.asked(adapter))
            return found

    def led(self, label: str, skipping: Skipping | None = None) -> Walk:
        """One model that is led along a path from the base as it was."""
        path: Walkable = path_of(self.folder, self.questions.base.model, label)
        return walk(path, self.questions, replace(SEARCH, skipping=skipping))


@contextmanager
def loaded(base: PreTrainedModel, folder: Path) -> Iterator[PeftModel]:
    """A base with an adapter on it by peft's own functions, which is taken off again."""
    with quiet():
        adapter = PeftModel.from_pretrained(base, str(folder)).eval()
    yield adapter
    adapter.unload()


@contextmanager
def merged(adapter: PeftModel, t: float) -> Iterator[None]:
    """The adapter in the weights of its base, ``t`` times as strong."""
    for layer in adapter.modules():
        if isinstance(layer, LoraLayer):
            layer.set_scale("default", t)
    adapter.merge_adapter()
    yield
    adapter.unmerge_adapter()


def run() -> str:
    """Assert equal scores and untouched bits, time, and return the tables."""
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        adapter = Path(folder) / "adapter"
        questions = planted(adapter)
        bench = Bench(questions, adapter, copy.deepcopy(questions.base.model))
        return "\n".join([end_to_end(bench), on_the_way(bench), left_behind(bench)])


def end_to_end(bench: Bench) -> str:
    """Scores of all points, from an adapter on disk; those of every timed run are compared."""
    before = weights(bench.questions.base.model)
    plain, walks = bench.plainly(), []

    def led(label: str, skipping: Skipping | None = None) -> None:
        walks.append(bench.led(label, skipping))
        wrong = sum(one != other for one, other in zip(grades(plain), grades(scores_of(walks[-1])), strict=True))
        assert wrong <= (MOST_WRONG_FRAC * len(grades(plain)) if skipping else 0), wrong

    ways: dict[str, Callable[[], object]] = {
        "merge, evaluate, unmerge": bench.plainly,
        "merge, evaluate, unmerge, again": bench.plainly,
        "along the dense line": partial(led, "dense"),
        "small tensors rewritten": partial(led, "additive"),
        "along the dense line, decided items skipped": partial(led, "dense", Skipping()),
        "small tensors rewritten, decided items skipped": partial(led, "additive", Skipping()),
    }
    times = side_by_side(ways, REPEATS)
    assert changed(bench.questions.base.model, before) == 0
    sizes = f"hidden {HIDDEN}, {LAYERS} layers (medians of {REPEATS})"
    title = f"{len(POINTS)} points on the way of LoRA r{RANK}, {ITEMS} items of 3 tasks, {sizes}"
    return f"{table(title, times, 'merge, evaluate, unmerge')}\n{accounted(plain, walks[-1])}\n"


def accounted(plain: Sequence[PointScores], walked: Walk) -> str:
    """How many items change on the way, how many answers were asked for, and what the others were taken to be."""
    answered = grades(plain)
    wrong = sum(one != other for one, other in zip(answered, grades(scores_of(walked)), strict=True))
    skipped = sum(each.skipped for each in walked.skipped.values())
    changing = ", ".join(
        f"{name} {sum(len(set(item)) > 1 for item in zip(*by_point, strict=True))}"
        for name in (task.task for task in plain[0].tasks)
        if (by_point := [task.values for point in plain for task in point.tasks if task.task == name])
    )
    limits = ", ".join(
        f"{name} {each.wrong} of {each.audited} wrong, at most {each.error_frac:.0%}"
        for name, each in walked.skipped.items()
    )
    return (
        f"Of {ITEMS} items change on the way: {changing}. Of {len(answered)} answers {skipped} were not asked for, and "
        f"{wrong} of them were taken to be what they are not. The audit found: {limits}."
    )


def scores_of(walked: Walk) -> list[PointScores]:
    """The scores of all points."""
    return [point.scores for point in walked.points]


def grades(points: Sequence[PointScores]) -> list[float]:
    """The grades of all items at all points, in a row."""
    return [value for point in points for task in point.tasks for value in task.values]


def on_the_way(bench: Bench) -> str:
    """The same walks without a question."""
    base = bench.questions.base.model
    path = path_of(bench.folder, base, "additive")

    def merge_all(adapter: PeftModel) -> None:
        for t in POINTS:
            with merged(adapter, t):
                pass

    with loaded(bench.merged, bench.folder) as adapter, path.walk(base) as bring:
        ways: dict[str, Callable[[], object]] = {
            "merge, unmerge": partial(merge_all, adapter),
            "merge, unmerge, again": partial(merge_all, adapter),
            "small tensors rewritten": lambda: [bring(t) for t in POINTS],
        }
        times = side_by_side(ways, REPEATS)
    return table(f"The way alone: {len(POINTS)} points, nothing asked (medians of {REPEATS})", times, "merge, unmerge")


def left_behind(bench: Bench) -> str:
    """What a walk in half precision leaves of the base."""
    halves = [copy.deepcopy(bench.questions.base.model).bfloat16() for _ in range(2)]
    before = weights(halves[0])
    with loaded(halves[0], bench.folder) as adapter:
        for t in POINTS:
            with merged(adapter, t):
                pass
    for label in ("additive", "dense"):
        with path_of(bench.folder, halves[1], label).walk(halves[1]) as bring:
            for t in POINTS:
                bring(t)
    plain, ours = (changed(model, before) for model in halves)
    assert ours == 0, ours
    assert plain > 0
    return (
        f"After {len(POINTS)} points in bfloat16, merging and unmerging has changed {plain:.0%} of the weights that an "
        f"adapter is on, and being led along none.\n"
    )


def weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the weights."""
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}


def changed(model: nn.Module, before: Mapping[str, Tensor]) -> float:
    """Which share of the weights of its layers is not what it was."""
    now = {name: tensor for name, tensor in model.named_parameters() if ".layers." in name and tensor.dim() > 1}
    return sum(int((now[name] != before[name]).sum()) for name in now) / sum(map(Tensor.numel, now.values()))
