"""Recipes are complete, frozen and keyed by what they say; all their faults are told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from holdfast.core.errors import RecipeError
from holdfast.core.recipe import ArenaRecipe, Recipe, TrainingOptions, TrainRecipe, read_recipe


def written(folder: Path, text: str) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def faults_of(kind: type[Recipe], file: Path | None, **overrides: Any) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        read_recipe(kind, file, overrides)
    return caught.value.faults


def test_the_command_line_overrides_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    file = written(tmp_path, "seed: 3\nlearning_rate: 1e-4\nmethod: oft(block_size=16)\n")
    recipe = read_recipe(TrainRecipe, file, {"seed": 4})
    assert recipe == TrainRecipe(seed=4, learning_rate=1e-4, method="oft(block_size=16)")


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_an_empty_file_leaves_the_defaults(tmp_path: Path, text: str) -> None:
    assert read_recipe(ArenaRecipe, written(tmp_path, text), {}) == ArenaRecipe()


def test_no_file_is_needed() -> None:
    assert read_recipe(TrainRecipe, None, {}) == TrainRecipe()


def test_all_faults_are_told_at_once_with_the_nearest_names(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "metods: [lora]\nmax_step: 5\nlearning_rate_tries: 0\nlearning_rate_rule: best\nretention: []\nseeds: [2, 2]\n",
    )
    assert set(faults_of(ArenaRecipe, file, search_seed=2)) == {
        "unknown option 'metods': did you mean 'methods'?",
        "unknown option 'max_step': did you mean 'max_steps'?",
        "learning_rate_tries: input should be greater than or equal to 1, got 0",
        "learning_rate_rule: input should be 'one_standard_error' or 'target', got 'best'",
        "retention: name at least one suite, task or file, or nothing can be forgotten",
        "seeds: give at least one, each once",
        "search_seed: 2 is also a reported seed; the choice of a rate must not be",
    }


def test_what_does_not_go_together_is_told_once_where_single_options_are_right(tmp_path: Path) -> None:
    file = written(tmp_path, "methods: []\nseeds: []\n")
    assert faults_of(ArenaRecipe, file) == ("methods: name at least one", "seeds: give at least one, each once")
    assert faults_of(ArenaRecipe, None, methods=["lora", "lora"]) == ("methods: one is named twice",)


def test_faults_are_told_under_the_name_of_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "seed: one\n")
    with pytest.raises(RecipeError) as caught:
        read_recipe(TrainRecipe, file, {})
    assert str(caught.value) == (
        f"{file}: 1 fault\n  - seed: input should be a valid integer, unable to parse string as an integer, got 'one'"
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [", "not YAML: "),
        ("- lora\n- oft\n", "expected options with values, one a line, and found a list"),
        ("just words", "expected options with values, one a line, and found a str"),
        ("1: 2", "1: keys should be strings, got 1"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_with_what_was_found(tmp_path: Path, text: str, fault: str) -> None:
    (found,) = faults_of(TrainRecipe, written(tmp_path, text))
    assert found.startswith(fault)


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    assert faults_of(TrainRecipe, tmp_path / "nowhere.yaml") == (f"there is no file {tmp_path / 'nowhere.yaml'}",)
    assert faults_of(TrainRecipe, tmp_path)[0].startswith("cannot be read: ")
    (tmp_path / "latin.yaml").write_bytes("target: Übung".encode("latin-1"))
    assert faults_of(TrainRecipe, tmp_path / "latin.yaml")[0].startswith("cannot be read: ")


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainRecipe().seed = 2


def changed(kind: type[Recipe], name: str) -> Any:
    """Another value that the option takes."""
    annotation, value = kind.model_fields[name].annotation, kind.model_fields[name].default
    if get_origin(annotation) is Literal:
        return next(other for other in get_args(annotation) if other != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value * 1.1 or 0.5 if "beta" not in name else 0.5
    if isinstance(value, tuple):
        return (7,) if value and isinstance(value[0], int) else ("layernorm",)
    return f"{value}x" if isinstance(value, str) else (value or 0) + 100


@pytest.mark.parametrize("kind", [TrainRecipe, ArenaRecipe])
def test_the_key_changes_with_every_single_option(kind: type[Recipe]) -> None:
    default = kind()
    keys = {default.key()}
    for name in kind.model_fields:
        other = kind(**{name: changed(kind, name)})
        assert other != default, name
        keys.add(other.key())
    assert len(keys) == 1 + len(kind.model_fields)


def test_options_that_came_later_leave_older_keys_as_they_were() -> None:
    written = TrainRecipe().model_dump(mode="json")
    assert "source" not in written and "source_items" not in written
    assert TrainRecipe().key() == "0b15fec51b82d5db"
    drawn = TrainRecipe(source=("general",), source_items=64)
    assert TrainRecipe(**drawn.model_dump(mode="json")) == drawn


@given(st.permutations(sorted(TrainRecipe.model_fields)))
def test_the_key_does_not_depend_on_the_order_in_which_options_are_given(order: list[str]) -> None:
    recipe = TrainRecipe(seed=3, target="cant")
    assert TrainRecipe(**{name: getattr(recipe, name) for name in order}).key() == recipe.key()


def test_a_key_is_the_same_for_a_value_in_any_notation(tmp_path: Path) -> None:
    one = read_recipe(TrainRecipe, written(tmp_path, "learning_rate: 1e-4\n"), {})
    assert one.key() == TrainRecipe(learning_rate=0.0001).key()


def test_a_run_of_a_comparison_has_the_options_of_the_comparison() -> None:
    arena = ArenaRecipe(max_steps=7, target="cant", adam_beta2=0.95)
    run = arena.run("oft", 1e-3, 5)
    assert (run.method, run.learning_rate, run.seed) == ("oft", 1e-3, 5)
    assert all(getattr(run, name) == getattr(arena, name) for name in TrainingOptions.model_fields)


@pytest.mark.parametrize("kind", [TrainingOptions, TrainRecipe, ArenaRecipe])
def test_every_option_is_described(kind: type[Recipe]) -> None:
    assert [name for name in kind.__annotations__ if f"\n        {name}: " not in str(kind.__doc__)] == []
