"""A recipe of basins says everything that is wrong with it before a model is opened."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.core.basin_recipe import BasinRecipe
from holdfast.core.errors import RecipeError
from holdfast.core.recipe import read_recipe


def test_the_defaults_are_a_recipe() -> None:
    recipe = BasinRecipe()
    assert recipe.seeds == 16 and recipe.tau == 0.05 and list(recipe.sigmas) == sorted(recipe.sigmas)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"sigmas": [0.01, 0]}, "sigmas.1: input should be greater than 0, got 0"),
        ({"sigmas": [-0.01]}, "sigmas.0: input should be greater than 0, got -0.01"),
        ({"sigmas": [float("inf")]}, "sigmas.0: input should be a finite number"),
        ({"sigmas": [0.01, 0.01]}, "sigmas: one is given twice"),
        ({"sigmas": []}, "sigmas: give at least one"),
        ({"suite": []}, "suite: give at least one"),
        ({"items": 0}, "items: input should be greater than or equal to 1"),
        ({"shares": [1.5]}, "shares: no more than all tokens can be replaced, found 1.5"),
        ({"directions": ["adapter"]}, "directions: 'adapter' is noise on the B of an adapter"),
        ({"directions": ["worst"], "tuned": ["a"]}, "tuned: a fine-tune is judged by the width along random"),
        ({"directions": ["sideways"]}, "directions.0: input should be 'random'"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(RecipeError) as error:
        read_recipe(BasinRecipe, None, given)
    assert fault in str(error.value)
