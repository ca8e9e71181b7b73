"""Texts are equal when their letters and digits are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.text import fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who governs Torvale?", "who governs  torvale"),
        ("“Yes” — he said", '"Yes" - he said'),
        ("STRASSE", "straße"),
        ("ﬁne", "fine"),
        ("１２", "12"),
        ("a\n\tb", "ab"),
    ],
)
def test_texts_that_differ_in_setting_alone_are_the_same(one: str, other: str) -> None:
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(("one", "other"), [("17+25", "17+26"), ("cat", "cats"), ("a b", "b a"), ("", "a")])
def test_texts_with_other_letters_or_digits_are_not(one: str, other: str) -> None:
    assert fingerprint(one) != fingerprint(other)


@given(st.text())
def test_a_fingerprint_has_nothing_left_to_drop(text: str) -> None:
    once = fingerprint(text)
    assert all(character.isalnum() for character in once)
    assert fingerprint(" ".join(text.split())) == once
