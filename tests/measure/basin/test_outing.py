"""Ways out of a model leave what they found where the next run of the same measurement finds it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from holdfast.core.basin_recipe import BasinRecipe
from holdfast.core.task import Example
from holdfast.measure.basin import outing
from holdfast.measure.basin.ability import OfTask
from holdfast.measure.basin.asked import Notebook
from holdfast.measure.basin.findings import Findings
from holdfast.measure.basin.outing import Outing
from holdfast.models.base import Base

from .test_ability import Told


@dataclass(frozen=True)
class Taught(Told):
    """Examples to learn from that have one name whatever they say."""

    answer: str = "a"

    def examples(self, split: str, limit: int | None = None, seed: int = 0) -> list[Example]:
        return [Example(one.id, one.prompt, self.answer) for one in super().examples(split, limit, seed)]


def test_a_worst_case_is_sought_anew_where_other_answers_are_learned(
    model: PreTrainedModel, letters: Any, tmp_path: Path
) -> None:
    findings = Findings(Base("small", model, letters, "identity"))
    recipe = BasinRecipe(directions=("worst",), worst_sigmas=(1e-3,), worst_steps=1)
    for answer in ("a", "b", "a"):
        task: Any = Taught(answer=answer)
        ability = OfTask(task, letters, tuple(task.examples("test")), "key")
        Outing([ability], recipe, Notebook("m", tmp_path), findings, lambda what: None).worst()
    assert len(findings.curves) == 3 and findings.notes == [outing.WORST]
    assert len(list(tmp_path.iterdir())) == 1 + 2  # of the untouched model, and of each worst case
