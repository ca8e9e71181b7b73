"""Any other tuner of peft by its name, with its options checked before anything is attached."""

from __future__ import annotations

from itertools import islice

import pytest
from small import bits, same_bits, tuner
from transformers import PreTrainedModel

from holdfast.core.errors import RecipeError
from holdfast.methods.peft_tuner import OWN, REFUSED, PeftTuner


def test_a_tuner_is_named_with_its_options() -> None:
    assert tuner("loha").spec() == tuner("loha").label == "peft:loha"
    assert tuner("loha", r=4, alpha=2).spec() == "peft:loha(r=4, alpha=2)"


@pytest.mark.parametrize(("name", "own"), OWN.items())
def test_a_tuner_that_has_a_file_of_its_own_is_refused_in_favour_of_that(name: str, own: str) -> None:
    assert tuner(name).faults() == (f"peft:{name}: use the method '{own}', which sees to the traps of this tuner",)


@pytest.mark.parametrize("name", REFUSED)
def test_a_tuner_that_cannot_be_run_is_refused_with_the_reason(name: str) -> None:
    assert tuner(name).faults() == (f"peft:{name} is not offered: {REFUSED[name]}",)


def test_an_unknown_tuner_is_answered_by_the_nearest() -> None:
    assert tuner("lohaa").faults() == ("unknown peft tuner 'lohaa': did you mean 'loha'?",)


def test_all_unknown_options_are_told_with_the_nearest() -> None:
    assert tuner("loha", rr=4, alfa=2, module_dropout=0.1).faults() == (
        "peft:loha: unknown option 'alfa': did you mean 'alpha'?",
        "peft:loha: unknown option 'rr': did you mean 'r'?",
    )


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        (
            "vblora",
            {},
            "peft:vblora cannot be put on this model with these options: `in_features` 64 must be divisible",
        ),
        ("loha", {"r": -1}, "peft:loha cannot be put on this model with these options: "),
        ("loha", {"target_modules": "nothing"}, "peft:loha cannot be put on this model with these options: "),
        ("lohaa", {}, "unknown peft tuner 'lohaa'"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused_and_leave_it_whole(
    model: PreTrainedModel, name: str, options: dict[str, object], fault: str
) -> None:
    before = bits(model)
    with pytest.raises(RecipeError) as caught:
        tuner(name, **options).attach(model)
    assert caught.value.faults[0].startswith(fault)
    assert same_bits(bits(model), before)


@pytest.mark.parametrize(
    ("name", "knob", "values"),
    [
        ("loha", "r", (1, 2, 3)),
        ("fourierft", "n_frequency", (1, 2, 3)),
        ("osf", "effective_rank", (32, 31, 30)),  # what is kept still: the more of it, the less is trained
    ],
)
def test_the_first_knob_of_its_configuration_is_turned(
    model: PreTrainedModel, name: str, knob: str, values: tuple[int, ...]
) -> None:
    settings = list(islice(tuner(name).settings(model), 3))
    assert [dict(setting.options) for setting in settings] == [{knob: value} for value in values]


def test_a_knob_that_is_given_is_not_turned(model: PreTrainedModel) -> None:
    assert list(tuner("loha", r=4).settings(model)) == [tuner("loha", r=4)]


def test_a_tuner_is_hashable_by_nothing_but_equal_by_its_options() -> None:
    assert tuner("loha", r=4) == tuner("loha", r=4) != tuner("loha", r=5)
    assert PeftTuner("loha") == tuner("loha")
