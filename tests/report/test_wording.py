"""Numbers, sizes and lists as people read them."""

from __future__ import annotations

import pytest

from holdfast.report.wording import (
    base_name,
    counted,
    gap,
    listed,
    measured,
    number,
    p_value,
    signed,
    sized,
    typeset,
)


def test_a_number_that_rounds_to_zero_has_no_sign() -> None:
    assert (number(-0.0001), signed(-0.0001), signed(0.0001)) == ("0.000", "0.000", "0.000")
    assert (signed(0.25), signed(-0.25)) == ("+0.250", "-0.250")


def test_an_interval_that_is_a_point_is_not_written() -> None:
    assert measured(0.5, (0.25, 0.75)) == "0.500 [0.250, 0.750]"
    assert measured(0.0, (0.0, 0.0)) == "0.000"
    assert measured(None, None) == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (20 * 2**20, "20 MiB"),
        (1.5 * 2**30, "1.5 GiB"),
        (2**41, "2.0 TiB"),
    ],
)
def test_sizes_are_in_binary_units(size: float, text: str) -> None:
    assert sized(size) == text


@pytest.mark.parametrize(("frac", "text"), [(0.0, "0.0%"), (0.034, "+3.4%"), (-0.98, "-98.0%"), (9.5, "10.5x")])
def test_gaps_are_percent_until_they_are_multiples(frac: float, text: str) -> None:
    assert gap(frac) == text


def test_lists_end_with_and_and_long_ones_with_a_count() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(list("abcdef"), most=4) == "a, b, c and 3 more"


def test_counts_agree_with_their_nouns() -> None:
    assert (counted(1, "seed"), counted(2000, "seed")) == ("1 seed", "2,000 seeds")


def test_p_values_have_three_places_and_no_zero() -> None:
    assert (p_value(0.0412), p_value(0.0004)) == ("p 0.041", "p < 0.001")


@pytest.mark.parametrize(
    ("base", "name"),
    [
        ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B"),
        ("miniature", "miniature"),
        ("/home/someone/models/mine", "mine"),
        ("../models/mine/", "mine"),
        ("C:\\models\\mine", "mine"),
    ],
)
def test_a_base_in_a_folder_goes_by_the_name_of_the_folder(base: str, name: str) -> None:
    assert base_name(base) == name


def test_only_hyphens_before_negative_numbers_become_minus_signs() -> None:
    minus = "\N{MINUS SIGN}"
    assert typeset("-0.5 [-1.0, 2.0]") == f"{minus}0.5 [{minus}1.0, 2.0]"
    assert typeset("lora-8, 1e-05, a-b, 10.5x") == "lora-8, 1e-05, a-b, 10.5\N{MULTIPLICATION SIGN}"
