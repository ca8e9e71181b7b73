"""Options of recipes are read from the command line as they are from a file."""

from __future__ import annotations

import pytest

from holdfast.cli.options import described, overrides_from
from holdfast.core.errors import RecipeError
from holdfast.core.recipe import ArenaRecipe, TrainRecipe


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["--max_steps", "7"], {"max_steps": 7}),
        (["--max-steps=7"], {"max_steps": 7}),
        (["--learning_rate_scale", "3e-4"], {"learning_rate_scale": 3e-4}),
        (["--methods", "lora", "oft(block_size=16)"], {"methods": ["lora", "oft(block_size=16)"]}),
        (["--seeds", "1", "2"], {"seeds": [1, 2]}),
        (["--drop_overlap"], {"drop_overlap": True}),
        (["--train_items", "null"], {"train_items": None}),
        (["--budget", "lora-r8"], {"budget": "lora-r8"}),
        ([], {}),
    ],
)
def test_words_become_values(words: list[str], read: dict[str, object]) -> None:
    assert overrides_from(ArenaRecipe, words) == read


def test_faults_are_told_together() -> None:
    with pytest.raises(RecipeError) as caught:
        overrides_from(TrainRecipe, ["loose", "--sed", "1", "--max_steps", "1", "2"])
    assert len(caught.value.faults) == 3
    assert "did you mean 'seed'?" in str(caught.value)
    assert "max_steps: takes one value, got 1 2" in str(caught.value)


@pytest.mark.parametrize("kind", [ArenaRecipe, TrainRecipe])
def test_every_option_has_a_meaning(kind: type) -> None:
    assert all(meaning.endswith(".") for _, _, meaning in described(kind))
