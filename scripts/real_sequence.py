"""Real text-classification tasks, one after the other: data files and a recipe for ``holdfast sequence``.

    python scripts/real_sequence.py DATA OUT --model_name_or_path MODEL
    holdfast sequence OUT/recipe.yaml --output_dir runs/real-sequence

DATA holds ``olora_cl_benchmark`` (``GROUP/TASK/train.json``, ``test.json``, ``labels.json``, as the repository of
O-LoRA has them) and ``tinystories/tinystories_sample_2MiB.txt``. Every row becomes a question whose choices are the
labels of its task. A tenth of each training file, by a hash of the sentence, is kept for validation. Left out are rows
without a gold label, rows that repeat an earlier one, and rows that are longer than the model reads; how many is
printed, beside what guessing and the commonest label of the training rows score on the test rows.

Stories stand for general ability. They are of the text that the model was trained on and are in no task: their loss
says how much of the pretraining distribution is kept, and nothing of generalisation.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from transformers import AutoConfig, AutoTokenizer

from holdfast.core.text import fingerprint
from holdfast.tasks.combined import digest
from holdfast.tasks.formats import END_OF_TEXT

Row = dict[str, Any]

TASKS: Final = {
    "agnews": "TC/agnews",
    "sst2": "SC/SST-2",
    "rte": "NLI/RTE",
    "boolq": "BoolQA/BoolQA",
    "mnli": "NLI/MNLI",
    "cb": "NLI/CB",
    "wic": "WiC/WiC",
    "copa": "COPA/COPA",
    "qqp": "QQP/QQP",
}
FIRST: Final = ("agnews", "sst2", "rte", "boolq")
"""Four tasks with four kinds of answers."""

VALIDATION_FRAC: Final = 0.1

STORIES: Final = {"train": (0, 1028), "validation": (1028, 1672), "test": (1672, 2316)}
"""Which stories of the sample are in which split; its last one is cut off and in none."""

ROOM_TOKENS: Final = 2
"""Left free for tokens that a tokenizer or a trainer puts at the ends."""


def converted(
    rows: Iterable[Row], labels: Sequence[str], fits: Callable[[str], bool]
) -> tuple[list[Row], Counter[str]]:
    """Questions with choices from rows of ``sentence`` and ``label``, and how many were left out for which reason."""
    found: dict[str, Row] = {}
    left_out: Counter[str] = Counter()
    longest = max(labels, key=len)
    for row in rows:
        question = f"{row['sentence'].strip()}\nAnswer:"
        if row["label"] not in labels:
            left_out["without a gold label"] += 1
        elif not fits(f"{question} {longest}"):
            left_out["too long"] += 1
        elif fingerprint(question) in found:
            left_out["repeated"] += 1
        else:
            found[fingerprint(question)] = {
                "question": question,
                "choices": list(labels),
                "gold": labels.index(row["label"]),
            }
    return list(found.values()), left_out


def parted(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Training and validation rows: which is which hangs on the question alone."""
    parts: dict[str, list[Row]] = {"train": [], "validation": []}
    for row in rows:
        share = digest("validation", fingerprint(row["question"])) / 2**64
        parts["validation" if share < VALIDATION_FRAC else "train"].append(row)
    return parts


def without(rows: Sequence[Row], others: Sequence[Row]) -> list[Row]:
    """The rows whose question is none of the others'."""
    known = {fingerprint(row["question"]) for row in others}
    return [row for row in rows if fingerprint(row["question"]) not in known]


def majority_frac(train: Sequence[Row], test: Sequence[Row]) -> float:
    """What always giving the commonest label of the training rows scores on the test rows."""
    commonest = Counter(row["gold"] for row in train).most_common(1)[0][0]
    return sum(bool(row["gold"] == commonest) for row in test) / len(test)


def stories_of(text: str, fits: Callable[[str], bool]) -> tuple[dict[str, list[Row]], int]:
    """Whole stories by split, and how many were left out because they are too long."""
    stories = [story.strip() for story in text.split(END_OF_TEXT)]
    parts = {split: [{"text": story} for story in stories[a:b] if fits(story)] for split, (a, b) in STORIES.items()}
    return parts, STORIES["test"][1] - sum(map(len, parts.values()))


def fitting(model: str) -> Callable[[str], bool]:
    """Whether a text, and what a trainer puts at its ends, is no longer than the model reads."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    most = AutoConfig.from_pretrained(model).get_text_config().max_position_embeddings - ROOM_TOKENS
    return lambda text: len(tokenizer(text, verbose=False)["input_ids"]) <= most


def recipe_of(out: Path, model: str, names: Sequence[str]) -> dict[str, Any]:
    """A recipe for a first look, in one order and with one seed; numbers want ``--orders 3 --seeds 1 2 3``."""
    return {
        "model_name_or_path": model,
        "tasks": [str(out / name) for name in names],
        "orders": 1,
        "methods": ["full", "lora", "trace_probe"],
        "retention": [str(out / "stories")],
        "seeds": [1],
        "learning_rate_tries": 3,
        "learning_rate_extra_tries": 0,
        "max_steps": 60,
        "per_device_train_batch_size": 8,
        "validation_items": 100,
        "test_items": 300,
    }


def main() -> None:
    """Write the data files and the recipe, and print a line a task."""
    said = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    said.add_argument("data", type=Path, metavar="DATA")
    said.add_argument("out", type=Path, metavar="OUT")
    said.add_argument("--model_name_or_path", required=True, help="whose tokenizer and length decide what fits")
    said.add_argument("--tasks", nargs="+", default=FIRST, choices=TASKS, help="in the first order of training")
    given = said.parse_args()
    fits = fitting(given.model_name_or_path)
    print("task     train  validation  test  chance  majority  left out")
    for name in given.tasks:
        folder = given.data / "olora_cl_benchmark" / TASKS[name]
        labels = _read(folder / "labels.json")
        learned, left_out = converted(_read(folder / "train.json"), labels, fits)
        asked, also = converted(_read(folder / "test.json"), labels, fits)
        parts = parted(without(learned, asked))
        left_out.update(also)
        left_out["in test, too"] += len(learned) - sum(map(len, parts.values()))
        _write(given.out / name, {**parts, "test": asked})
        told = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count) or "none"
        counts = f"{len(parts['train']):>5}  {len(parts['validation']):>10}  {len(asked):>4}"
        print(f"{name:<7}  {counts}  {1 / len(labels):>6.3f}  {majority_frac(parts['train'], asked):>8.3f}  {told}")
    sample = (given.data / "tinystories" / "tinystories_sample_2MiB.txt").read_text(encoding="utf-8")
    stories, long = stories_of(sample, fits)
    _write(given.out / "stories", stories)
    print(f"stories  {'  '.join(f'{len(rows)} {split}' for split, rows in stories.items())}, {long} too long")
    recipe = yaml.safe_dump(recipe_of(given.out, given.model_name_or_path, given.tasks), sort_keys=False)
    (given.out / "recipe.yaml").write_text(recipe, encoding="utf-8")
    print(given.out / "recipe.yaml")


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _write(folder: Path, parts: dict[str, list[Row]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in parts.items():
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
