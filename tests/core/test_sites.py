"""The block of a module is read from its name."""

from __future__ import annotations

import pytest

from holdfast.core.sites import block_of


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("model.layers.3.mlp.down_proj", (3, "mlp.down_proj")),
        ("model.layers.12.mlp.down_proj.weight", (12, "mlp.down_proj.weight")),
        ("transformer.h.0.attn.c_attn", (0, "attn.c_attn")),
        ("layers.7.experts.2.up", (7, "experts.2.up")),
        ("0.weight", (0, "weight")),
        ("model.layers.3", (None, "model.layers.3")),
        ("lm_head", (None, "lm_head")),
        ("model.embed_tokens.weight", (None, "model.embed_tokens.weight")),
        ("model.norm2.weight", (None, "model.norm2.weight")),
        ("", (None, "")),
    ],
)
def test_the_first_number_on_its_own_is_the_block(name: str, found: tuple[int | None, str]) -> None:
    assert block_of(name) == found
