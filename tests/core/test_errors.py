"""Errors say what was asked, what was found and what to do, and carry the exit code of the command line."""

from __future__ import annotations

import pytest

from holdfast.core import errors


def test_a_recipe_error_lists_every_fault() -> None:
    error = errors.RecipeError(["this is wrong", "so is that"], source="run.yaml")
    assert error.faults == ("this is wrong", "so is that")
    assert str(error) == "run.yaml: 2 faults\n  - this is wrong\n  - so is that"


def test_one_fault_is_counted_in_the_singular() -> None:
    assert str(errors.RecipeError(["this is wrong"])) == "recipe: 1 fault\n  - this is wrong"


@pytest.mark.parametrize("kind", [errors.RecipeError, errors.UnknownName, errors.BadData, errors.ModelNotFound])
def test_what_the_user_wrote_wrong_exits_with_3(kind: type[errors.HoldfastError]) -> None:
    assert kind.exit_code == errors.EXIT_USAGE == 3


@pytest.mark.parametrize(
    "kind",
    [
        errors.HoldfastError,
        errors.IncompatibleUpdate,
        errors.DamagedCheckpoint,
        errors.UnsafeFile,
        errors.NotMeasurable,
        errors.TrainingDiverged,
        errors.NoSpace,
    ],
)
def test_what_went_wrong_on_the_way_exits_with_1(kind: type[errors.HoldfastError]) -> None:
    assert kind.exit_code == errors.EXIT_FAULT == 1


def test_the_other_exit_codes_are_0_and_2() -> None:
    assert (errors.EXIT_DONE, errors.EXIT_NO) == (0, 2)


def test_every_error_is_of_the_family() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 10
    assert all(issubclass(kind, errors.HoldfastError) for kind in kinds)


def test_a_near_miss_is_answered_by_the_nearest_name() -> None:
    assert str(errors.UnknownName("method", "loar", ["oft", "lora"])) == ("unknown method 'loar': did you mean 'lora'?")


def test_a_far_miss_is_answered_by_all_names_sorted() -> None:
    error = errors.UnknownName("method", "zzz", ["oft", "lora"])
    assert str(error) == "unknown method 'zzz': known are: lora, oft"
    assert (error.kind, error.asked, error.known) == ("method", "zzz", ("lora", "oft"))


def test_where_nothing_is_known_it_says_none() -> None:
    assert str(errors.UnknownName("probe", "rank", [])) == "unknown probe 'rank': known are: none"
