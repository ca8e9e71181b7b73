"""Basins of two abilities of a model of TinyStories: the next word of any sentence, and who is meant.

    python scripts/story_basin.py data STORIES OUT
    holdfast train --model_name_or_path MODEL --method full --target OUT/benign ... --output_dir RUN
    python scripts/story_basin.py measure MODEL STORIES RUNS [--tuned RUN/checkpoints/step-000060 ...]

STORIES is a text file of TinyStories with ``<|endoftext|>`` between stories. ``data`` writes two data sets to fine-tune
on: ``benign`` are other stories, ``contrary`` the same ones with the words of every sentence in a random order.
``measure`` does what ``holdfast basin`` does, for abilities that have no data file of their own: the model goes on with
a story, and the first word of what it says is right or wrong. ``next word`` asks after any word (the basic ability),
``who`` right before a name that was there before (a specific one). Both are asked of stories that are in the training
split of neither data set.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from holdfast.core.basin_recipe import BasinRecipe
from holdfast.core.task import Ask, Example, Split
from holdfast.measure.basin.ability import abilities_of
from holdfast.measure.basin.engine import measure_basin
from holdfast.models.base import open_base
from holdfast.report.basin.publish import published_basin
from holdfast.store.files import write_text
from holdfast.tasks.formats import END_OF_TEXT

FIRST, LAST = 20, 60
"""Between which words of a story it is cut off: late enough for names to be known, early enough to be short."""

PARTS: Final[dict[Split, tuple[int, int]]] = {"train": (0, 1000), "validation": (1000, 1200), "test": (1200, 2000)}
"""Which stories of the file are in which split; the test stories are asked, those before them are trained on."""

SIGMAS = (2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1)

_WORD = re.compile(r"[A-Za-z']+")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")
"""A capital within a sentence."""


@dataclass(frozen=True)
class Continuation:
    """Going on with a story, one word far.

    Attributes:
        name: What is asked.
        stories: The stories of every split.
        names_only: Ask only where a name follows that was there before.
    """

    name: str
    stories: dict[Split, Sequence[str]] = field(repr=False)
    names_only: bool = False
    ask: Ask = "generate"
    chance_frac: float = 0.0
    max_new_tokens: int = 8

    def examples(self, split: Split, limit: int | None = None, seed: int = 0) -> Sequence[Example]:
        """One item a story, where it has a place to ask; a story has the same one whatever the limit."""
        found = []
        for number, story in enumerate(self.stories[split]):
            if places := self._places(story):
                start, end = random.Random(f"{seed} {number}").choice(places)
                found.append(Example(f"{self.name}/{split}/{number}", story[: start - 1], f" {story[start:end]}"))
        return found[:limit]

    def grade(self, example: Example, response: str) -> float:
        """Whether the first word is the one that is in the story."""
        said = _WORD.search(response)
        return float(said is not None and said.group() == example.answer.strip())

    def _places(self, story: str) -> list[tuple[int, int]]:
        words = [match.span() for match in _WORD.finditer(story)][FIRST:LAST]
        after_space = [(a, b) for a, b in words if story[a - 1] == " "]
        if not self.names_only:
            return after_space
        names = {match.span() for match in _NAME.finditer(story)}
        return [(a, b) for a, b in after_space if (a, b) in names and re.search(rf"\b{story[a:b]}\b", story[: a - 1])]


def read_stories(file: Path) -> dict[Split, Sequence[str]]:
    """Whole stories by split."""
    found = [" ".join(story.split()) for story in file.read_text(encoding="utf-8").split(END_OF_TEXT)]
    return {split: found[a:b] for split, (a, b) in PARTS.items()}


def disordered(story: str, draw: random.Random) -> str:
    """A story with the words of every sentence in another order."""
    sentences = re.findall(r"[^.!?]+[.!?\"]*", story)
    return " ".join(" ".join(draw.sample(words := sentence.split(), len(words))) for sentence in sentences)


def write_data(stories: dict[Split, Sequence[str]], out: Path) -> None:
    """The two data sets; stories of the test split are asked later, and nobody trains on them."""
    draw = random.Random(0)
    for split, told in stories.items():
        for name, texts in {"benign": told, "contrary": [disordered(story, draw) for story in told]}.items():
            rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
            write_text(out / name / f"{split}.jsonl", rows)


def measure(model: str, stories: dict[Split, Sequence[str]], output: Path, tuned: Sequence[str], items: int) -> None:
    """Measure, and write what ``holdfast basin`` writes."""
    base = open_base(model)
    recipe = BasinRecipe(model_name_or_path=model, tuned=tuple(tuned), sigmas=SIGMAS, items=items)
    asked = (Continuation("next word", stories), Continuation("who", stories, names_only=True))
    tasks = {task.name: task for task in asked}
    abilities = abilities_of(base.model, base.tokenizer, tasks, "test", items)
    print({ability.name: ability.items for ability in abilities})
    found = measure_basin(base, abilities, recipe, folder=output / "evaluations", tick=print)
    write_text(output / "basin.json", found.model_dump_json(exclude_none=True) + "\n")
    print(published_basin(found, output))


def main() -> None:
    """Write data, or measure."""
    said = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = said.add_subparsers(dest="way", required=True)
    data, measured = ways.add_parser("data"), ways.add_parser("measure")
    measured.add_argument("model", metavar="MODEL")
    for way in (data, measured):
        way.add_argument("stories", type=Path, metavar="STORIES")
        way.add_argument("out", type=Path, metavar="OUT")
    measured.add_argument("--tuned", nargs="*", default=[], help="checkpoints made from MODEL")
    measured.add_argument("--items", type=int, default=64, help="items of each ability")
    given = said.parse_args()
    stories = read_stories(given.stories)
    if given.way == "data":
        write_data(stories, given.out)
    else:
        measure(given.model, stories, given.out, given.tuned, given.items)


if __name__ == "__main__":
    main()
