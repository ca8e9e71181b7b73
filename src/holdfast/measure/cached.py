"""Forward passes that never compute a shared beginning twice.

Tokens that many rows begin with (few-shot examples, the context of several choices) are run once; their keys and
values are repeated for the rows that go on from there. The cost of a set of rows is the number of nodes of their
prefix tree, not the sum of their lengths.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from holdfast.measure.prompts import Ids, common_length

SHARED_MIN_TOKENS = 8
"""A shared beginning shorter than this is not worth a pass of its own."""


@dataclass
class Rows:
    """Rows of tokens that have been run, with their keys and values.

    Attributes:
        cache: Keys and values of all tokens so far.
        mask: 1 where a cached position holds a token of the row, 0 where it is padding.
        last: Logits after the last token of each row.
    """

    cache: Any
    mask: Int[Tensor, "rows cached"]
    last: Float[Tensor, "rows vocabulary"]

    def repeated(self, counts: Sequence[int]) -> Rows:
        """Each row as many times as its count says, 0 to drop it. The cache moves on: these rows are used up."""
        index = torch.repeat_interleave(
            torch.arange(len(counts), device=self.mask.device), torch.tensor(counts, device=self.mask.device)
        )
        self.cache.reorder_cache(index)
        return Rows(self.cache, self.mask[index], self.last[index])


def run(model: PreTrainedModel, rows: Sequence[Ids], pad: int) -> Rows:
    """Run rows of tokens, each to its last; what all begin with is run once, unless the model minds gaps."""
    shared = shared_length(rows)
    if shared >= SHARED_MIN_TOKENS and len(rows) > 1 and not _minds_gaps(model):
        begun = _extend(model, None, [rows[0][:shared]], pad)[0].repeated([len(rows)])
        return _extend(model, begun, [row[shared:] for row in rows], pad)[0]
    return _extend(model, None, rows, pad)[0]


def go_on(model: PreTrainedModel, begun: Rows, rows: Sequence[Ids], pad: int) -> Rows:
    """Run further tokens, equally many of each row; the rows begun with are used up."""
    return _extend(model, begun, rows, pad)[0]


def logits_of(
    model: PreTrainedModel, begun: Rows, rows: Sequence[Ids], pad: int
) -> Float[Tensor, "rows longest vocabulary"]:
    """Logits after each further token of each row, rows aligned on the left; the rows begun with are used up."""
    return _extend(model, begun, rows, pad, every=True)[1]


def room(model: Any) -> int | None:
    """Most tokens of a row that the model reads, if there is a limit; virtual tokens take up some of them."""
    limit: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit is None or not _learns_prompt(model):
        return limit
    return limit - int(model.active_peft_config.num_virtual_tokens)


def one_by_one(model: Any) -> bool:
    """Whether rows must be run one at a time: padding would stand behind virtual tokens, and the model minds gaps."""
    return _learns_prompt(model) and _minds_gaps(model)


def shared_length(rows: Sequence[Ids]) -> int:
    """Length of the beginning that all rows share; at least one token of each row is left over."""
    low, high = min(rows), max(rows)
    return min(common_length(low, high), min(map(len, rows)) - 1)


def _extend(
    model: PreTrainedModel, begun: Rows | None, rows: Sequence[Ids], pad: int, *, every: bool = False
) -> tuple[Rows, Tensor]:
    # Padding stands on the left, so that the last token of every row is in the last column; where every token counts
    # and nothing follows, it stands on the right, so that there is no gap between a row and what it goes on from.
    if begun is None and _learns_prompt(model):
        begun = _virtual_tokens(model).repeated([len(rows)])
    device, width = model.device, max(map(len, rows))
    ids = torch.full((len(rows), width), pad, device=device)
    present = torch.zeros(len(rows), width, dtype=torch.long, device=device)
    for i, row in enumerate(rows):
        part = slice(0, len(row)) if every else slice(width - len(row), width)
        ids[i, part] = torch.tensor(row, device=device)
        present[i, part] = 1
    mask = present if begun is None else torch.cat([begun.mask, present], dim=1)
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -width:]
    # Virtual tokens are among the rows begun with; peft would put them before the new tokens once more.
    out = (model.get_base_model() if _learns_prompt(model) else model)(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=None if begun is None else begun.cache,
        use_cache=True,
        logits_to_keep=0 if every else 1,
    )
    return Rows(out.past_key_values, mask, out.logits[:, -1].float()), out.logits


def _minds_gaps(model: Any) -> bool:
    """Whether padding between two tokens of a row changes what the model says, masked though it is.

    So it does where distances are those of columns: in sliding windows, in recurrent states, and where positions are
    not asked for.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if "position_ids" not in inspect.signature(base.forward).parameters:
        return True
    return any(type(layer) is not DynamicLayer for layer in DynamicCache(config=base.config).layers)


def _learns_prompt(model: PreTrainedModel) -> bool:
    return bool(getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False))


def _virtual_tokens(model: Any) -> Rows:
    """What prompt learning puts before every row: trained keys and values, or trained embeddings that are run here."""
    cache = model.get_prompt(batch_size=1)
    if isinstance(cache, Tensor):
        cache = model.get_base_model()(inputs_embeds=cache.to(model.dtype), use_cache=True).past_key_values
    width = cache.get_seq_length()
    return Rows(
        cache, torch.ones(1, width, dtype=torch.long, device=model.device), torch.empty(1, 0, device=model.device)
    )
