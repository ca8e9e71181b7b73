"""The suites that come with Holdfast."""

from __future__ import annotations

from holdfast.core.task import Suite
from holdfast.tasks.arithmetic import Arithmetic
from holdfast.tasks.chronicle import Chronicle
from holdfast.tasks.endings import Endings
from holdfast.tasks.instructions import Instructions
from holdfast.tasks.logic import Logic
from holdfast.tasks.recall import Recall

GENERAL = Suite(
    name="general",
    summary="What the miniature knows before any fine-tuning: facts, instructions, logic, sums, endings, prose.",
    keep=(Recall(), Instructions(), Logic(), Arithmetic(), Endings(), Chronicle()),
)
