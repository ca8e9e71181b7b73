"""Modules of a model that are looked at, by the names they have in the base."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from holdfast.core.errors import NotMeasurable, UnknownName
from holdfast.core.sites import block_of

USUAL = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.down_proj")
"""Modules of a block that PEFT-Arena (arXiv 2605.28819) looks at, in two blocks of the model."""


def modules_at(model: nn.Module, sites: Iterable[str]) -> dict[str, nn.Module]:
    """The modules of these names, each once; on a peft model the names are those of the base inside it.

    Raises:
        NotMeasurable: If no name is given.
        UnknownName: If the model has no module of a name; the message holds the nearest that it has.
    """
    known = _named(model)
    asked = dict.fromkeys(sites)
    if not asked:
        raise NotMeasurable("no module was chosen: name at least one")
    for site in asked:
        if site not in known:
            raise UnknownName("module", site, known)
    return {site: known[site] for site in asked}


def linear_sites(model: nn.Module) -> tuple[str, ...]:
    """All linear layers inside the blocks of a model, in its order; embeddings and head are left out.

    Raises:
        NotMeasurable: If there is none.
    """
    layers = (name for name, module in _named(model).items() if isinstance(module, nn.Linear))
    found = tuple(name for name in layers if block_of(name)[0] is not None)
    if not found:
        raise NotMeasurable("the model has no linear layer inside a numbered block: name the modules to be looked at")
    return found


def usual_sites(model: nn.Module) -> tuple[str, ...]:
    """Queries, keys, values and the end of the MLP at a third and at two thirds of the depth.

    In a model of 28 blocks these are the eight modules that PEFT-Arena publishes, of blocks 9 and 18.

    Raises:
        NotMeasurable: If the model has none of them.
    """
    names = _named(model)
    depth = 1 + max((block for name in names if (block := block_of(name)[0]) is not None), default=-1)
    blocks = (depth // 3, 2 * depth // 3)
    found = tuple(name for name in names if (at := block_of(name))[0] in blocks and at[1] in USUAL)
    if not found:
        raise NotMeasurable(
            f"the model has no {', '.join(USUAL)} in blocks {blocks[0]} and {blocks[1]}: name the modules to be "
            "looked at"
        )
    return found


def _named(model: Any) -> dict[str, nn.Module]:
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return dict(base.named_modules())
