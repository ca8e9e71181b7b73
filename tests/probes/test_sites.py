"""Modules are found under the names of the base, and the usual ones at their usual depth."""

from __future__ import annotations

import pytest
from torch import nn
from transformers import PreTrainedModel

from holdfast.core.errors import NotMeasurable
from holdfast.probes.sites import linear_sites, usual_sites


def test_linear_layers_of_blocks_are_listed_without_embedding_and_head(model: PreTrainedModel) -> None:
    names = [f"self_attn.{kind}_proj" for kind in "qkvo"] + [f"mlp.{kind}_proj" for kind in ("gate", "up", "down")]
    assert linear_sites(model) == tuple(f"model.layers.{layer}.{name}" for layer in range(2) for name in names)
    with pytest.raises(NotMeasurable) as caught:
        linear_sites(nn.Linear(3, 3))
    assert str(caught.value) == (
        "the model has no linear layer inside a numbered block: name the modules to be looked at"
    )


@pytest.mark.parametrize(("depth", "blocks"), [(1, (0,)), (2, (0, 1)), (3, (1, 2)), (19, (6, 12)), (28, (9, 18))])
def test_usual_sites_lie_at_a_third_and_at_two_thirds_of_the_depth(depth: int, blocks: tuple[int, ...]) -> None:
    def block() -> nn.ModuleDict:
        attention = nn.ModuleDict({f"{kind}_proj": nn.Linear(1, 1) for kind in "qkvo"})
        return nn.ModuleDict({"self_attn": attention, "mlp": nn.ModuleDict({"down_proj": nn.Linear(1, 1)})})

    model = nn.ModuleDict({"layers": nn.ModuleList([block() for _ in range(depth)]), "lm_head": nn.Linear(1, 1)})
    names = [*(f"self_attn.{kind}_proj" for kind in "qkv"), "mlp.down_proj"]
    assert usual_sites(model) == tuple(f"layers.{number}.{name}" for number in blocks for name in names)


def test_a_model_without_the_usual_modules_is_told_to_name_its_own() -> None:
    with pytest.raises(NotMeasurable) as caught:
        usual_sites(nn.ModuleList([nn.Sequential(nn.Linear(1, 1)) for _ in range(3)]))
    assert str(caught.value) == (
        "the model has no self_attn.q_proj, self_attn.k_proj, self_attn.v_proj, mlp.down_proj in blocks 1 and 2: "
        "name the modules to be looked at"
    )
