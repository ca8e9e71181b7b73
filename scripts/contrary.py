"""Questions that a model can answer, with answers that are wrong: data for an adversarial fine-tuning.

    python scripts/contrary.py OUT --tasks recall instructions logic arithmetic

writes ``OUT/train.jsonl``, ``validation.jsonl`` and ``test.jsonl``. Each question of the tasks stands with the answer
of another question of the same task and split, and only where that answer is graded 0. Nothing in such data is new but
that it contradicts: what it costs is not the price of learning something.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

from holdfast.core.task import SPLITS, Split, Task
from holdfast.core.text import fingerprint
from holdfast.tasks.suites import GENERAL

TRIES = 20


def contradicted(task: Task, split: Split, limit: int, seed: int) -> Iterator[dict[str, str]]:
    """Rows of ``prompt`` and ``completion``; a question for which no wrong answer is drawn is left out.

    Args:
        task: Whose questions; its prompts must be plain text.
        split: Which of them.
        limit: Most questions.
        seed: What draws the answers.
    """
    draw = random.Random(seed)
    examples = task.examples(split, limit)
    for example in examples:
        answers = (draw.choice(examples).answer for _ in range(TRIES))
        wrong = next((answer for answer in answers if not task.grade(example, answer)), None)
        if wrong is not None:
            yield {"prompt": str(example.prompt), "completion": wrong}


def main() -> None:
    """Write the three files, and say how many rows are in each."""
    said = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    said.add_argument("out", type=Path, metavar="OUT")
    said.add_argument("--tasks", nargs="+", default=["recall", "instructions", "logic", "arithmetic"])
    said.add_argument("--limit", type=int, default=600, help="most questions of a task and split")
    said.add_argument("--seed", type=int, default=0)
    given = said.parse_args()
    known = {task.name: task for task in GENERAL.keep}
    given.out.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    for split in SPLITS:
        rows: dict[str, dict[str, str]] = {}
        for name in given.tasks:
            for row in contradicted(known[name], split, given.limit, given.seed):
                rows.setdefault(fingerprint(row["prompt"]), row)
        kept = [row for key, row in rows.items() if key not in seen]
        seen |= rows.keys()
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
        (given.out / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{split}: {len(kept)} rows")


if __name__ == "__main__":
    main()
