"""The loss of an ability on its own training examples: what is climbed to find its worst case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.core.errors import NotMeasurable
from holdfast.measure.basin.ability import OfTask
from holdfast.measure.cached import room
from holdfast.measure.prompts import check_begun, check_length, with_completions
from holdfast.weights.ascent import Loss

LONGEST_TOKENS: Final = 512
_LEFT_OUT: Final = -100


def answering(model: PreTrainedModel, ability: OfTask, limit: int) -> Loss:
    """The mean loss of a model on the reference answers of training examples, nats a token: a surrogate for the score.

    Args:
        model: The model, for what it can read and where it lies.
        ability: Whose examples.
        limit: Most examples.

    Raises:
        NotMeasurable: If the task has no training examples.
        BadData: If an example does not fit into what the model can read.
    """
    examples = ability.task.examples("train", limit)
    if not examples:
        raise NotMeasurable(
            f"no worst case of '{ability.name}': it has no training examples whose loss could be climbed; give it some"
        )
    rows, labels = list[Sequence[int]](), list[Sequence[int]]()
    for example in examples:
        asked = with_completions(ability.tokenizer, example, [example.answer])
        check_begun(example, asked.prompt)
        rows.append((*asked.prompt, *asked.completions[0]))
        labels.append((*([_LEFT_OUT] * len(asked.prompt)), *asked.completions[0]))
    check_length("to be climbed", max(map(len, rows)), min(LONGEST_TOKENS, room(model) or LONGEST_TOKENS))
    pad: int = ability.tokenizer.pad_token_id
    batch = {
        "input_ids": _square(rows, pad).to(model.device),
        "attention_mask": _square([[1] * len(row) for row in rows], 0).to(model.device),
        "labels": _square(labels, _LEFT_OUT).to(model.device),
    }

    def loss(moved: nn.Module) -> Tensor:
        found: Tensor = moved(**batch).loss
        return found

    return loss


def _square(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *([filler] * (width - len(row)))] for row in rows])
