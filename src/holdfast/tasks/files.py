"""Tasks read from the user's own data: a file, a folder of splits, or a data set of the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import get_args

from holdfast.core.errors import BadData
from holdfast.core.task import SPLITS, Ask, Example, Split
from holdfast.core.text import fingerprint
from holdfast.tasks.combined import digest
from holdfast.tasks.formats import Row, Rows, read_hub, read_rows

LONGEST_ANSWER_CHARACTERS = 64
"""Completions up to this length are taken for answers to be generated and compared; longer ones are read."""

HELD_OUT_FRAC = 0.1
"""Share of a single file that is test, and share that is validation."""


@dataclass(frozen=True)
class FileTask:
    """Examples from data in one of the usual shapes: TRL's columns, alpaca, sharegpt, questions with choices, text.

    One file is split by a hash of each prompt, so that equal prompts are never on both sides; a plain text is split
    in order. A folder with ``train``, ``validation`` and ``test`` files is taken as it is.

    Attributes:
        source: Path, or name of a data set of the hub; ``#generate``, ``#choose`` or ``#read`` behind it says how its
            items are to be asked, where that is not to be told from their shape.
    """

    source: str

    @property
    def name(self) -> str:
        """The source, as it was given."""
        return self.source

    @property
    def ask(self) -> Ask:
        """How its items are asked: as the source says, or as their shape suggests."""
        stated = self.source.rpartition("#")[2] if "#" in self.source else ""
        if stated:
            if stated not in get_args(Ask):
                raise BadData(f"'{self.source}': after # comes one of {', '.join(get_args(Ask))}")
            return stated  # type: ignore[return-value]
        examples = self._splits()
        everything = [example for part in examples.values() for example in part]
        if any(example.choices for example in everything):
            return "choose"
        if all(not example.prompt for example in everything):
            return "read"
        longest = max(len(example.answer) for example in everything)
        return "generate" if longest <= LONGEST_ANSWER_CHARACTERS else "read"

    @property
    def chance_frac(self) -> float:
        """What guessing scores: one over the number of choices where there are any, 0 otherwise."""
        if self.ask != "choose":
            return 0.0
        shares = [1 / len(example.choices) for example in self._splits()["test"]]
        return sum(shares) / len(shares) if shares else 0.0

    @property
    def max_new_tokens(self) -> int:
        """Room for the longest reference answer, were every byte of it a token."""
        if self.ask != "generate":
            return 0
        return 1 + max(len(example.answer.encode()) for part in self._splits().values() for example in part)

    def examples(self, split: Split, limit: int | None = None, seed: int = 0) -> Sequence[Example]:
        """Examples of one split, in an order fixed by ``seed``.

        Raises:
            BadData: If the data cannot be read; says which line, and what was expected.
        """
        own = self._splits()[split]
        return sorted(own, key=lambda example: digest(seed, example.id))[:limit]

    def grade(self, example: Example, response: str) -> float:
        """1 when the response is one of the reference answers; white space and case do not count."""
        answers = example.facts.get("answers", (example.answer,))
        assert isinstance(answers, tuple), "answers are kept as a tuple"
        return float(_plain(response) in {_plain(str(answer)) for answer in answers})

    def check(self) -> None:
        """Read everything once, so that faults show before anything is trained.

        Raises:
            BadData: If the data cannot be read, or a split is empty.
        """
        empty = [split for split, examples in self._splits().items() if not examples]
        if empty:
            raise BadData(
                f"'{self.source}' has nothing on split '{empty[0]}'; give more rows, or a folder with "
                "train, validation and test files"
            )
        if self.ask == "choose" and any(not e.choices for part in self._splits().values() for e in part):
            raise BadData(f"'{self.source}' is to be asked by choice, and not all of its rows have choices")

    def _splits(self) -> Mapping[Split, tuple[Example, ...]]:
        return _read(self.source.rpartition("#")[0] if "#" in self.source else self.source)


@lru_cache(maxsize=16)
def _read(source: str) -> Mapping[Split, tuple[Example, ...]]:
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _parted(path.stem, read_rows(path))
    parts = read_hub(source)
    if set(SPLITS) <= set(parts):
        return {split: _examples(source, parts[split].rows) for split in SPLITS}
    return _parted(source, parts.get("train") or next(iter(parts.values())))


def _folder(path: Path) -> Mapping[Split, tuple[Example, ...]]:
    found: dict[Split, tuple[Example, ...]] = {}
    for split in SPLITS:
        files = sorted(file for file in path.glob(f"{split}.*") if file.is_file())
        if not files:
            raise BadData(f"folder '{path}' has no {split} file; expected train.jsonl, validation.jsonl, test.jsonl")
        found[split] = _examples(path.name, read_rows(files[0]).rows)
    return found


def _parted(name: str, rows: Rows) -> Mapping[Split, tuple[Example, ...]]:
    examples = _examples(name, rows.rows)
    if rows.in_order:
        validation, test = (round(len(examples) * (1 - share * HELD_OUT_FRAC)) for share in (2, 1))
        return {"train": examples[:validation], "validation": examples[validation:test], "test": examples[test:]}
    parts: dict[Split, list[Example]] = {split: [] for split in SPLITS}
    for example in examples:
        share = digest("split", fingerprint(_asked(example) or example.answer)) / 2**64
        parts["test" if share < HELD_OUT_FRAC else "validation" if share < 2 * HELD_OUT_FRAC else "train"].append(
            example
        )
    return {split: tuple(part) for split, part in parts.items()}


def _examples(name: str, rows: Sequence[Row]) -> tuple[Example, ...]:
    """Rows as examples; a row that repeats an earlier one to the letter is left out."""
    examples: dict[str, Example] = {}
    for row in rows:
        key = f"{name}/{digest(str(row.prompt), row.answer, *row.choices):016x}"
        facts = {"answers": row.answers} if row.answers else {}
        examples.setdefault(key, Example(key, row.prompt, row.answer, row.choices, facts))
    return tuple(examples.values())


def _asked(example: Example) -> str:
    if isinstance(example.prompt, str):
        return example.prompt
    return " ".join(turn["content"] for turn in example.prompt)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
