"""Specs are read as they are written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.errors import RecipeError
from holdfast.core.spec import parse_spec, spec_of, write_spec

names = st.from_regex(r"[a-z][a-z0-9_]*(:[a-z0-9_.\-]+)?", fullmatch=True)
options = st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True).filter(lambda name: not iskeyword(name))
literals = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(names, st.dictionaries(options, literals, max_size=4))
def test_what_is_written_is_read_back(name: str, given_options: dict[str, Any]) -> None:
    assert parse_spec(write_spec(name, given_options)) == (name, given_options)


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("oft", "oft", {}),
        ("  oft() ", "oft", {}),
        ("oft(block_size=16, exact=False)", "oft", {"block_size": 16, "exact": False}),
        ("peft:loha(r=4)", "peft:loha", {"r": 4}),
        ("lora-r8", "lora-r8", {}),
        ("miss(dropout=-1e-3)", "miss", {"dropout": -1e-3}),
        ("x(a=')(')", "x", {"a": ")("}),
    ],
)
def test_names_with_options_are_read(text: str, name: str, found: dict[str, Any]) -> None:
    assert parse_spec(text) == (name, found)


@pytest.mark.parametrize("text", ["", "two words", "lora(", "lora)", "lora(r=8", "(r=8)", "lora(r=8) x"])
def test_what_is_no_name_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_spec(text)
    assert caught.value.faults == (f"'{text}' is not a name with options; write for example oft(block_size=16)",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lora(8)", "options are written name=value"),
        ("lora(**{'r': 8})", "options are written name=value"),
        ("lora(r=8, r=9)", "options are written name=value"),
        ("lora(r=eight)", "'r' is neither a number, nor a text in quotes, nor another literal"),
        ("lora(r=8)(alpha=2)", "brackets are closed before the end"),
        ("lora(r=8)+(1)", "brackets are closed before the end"),
        ("lora(r={[]: 1})", "unhashable type: 'list'"),
        ("lora(r=)", "invalid syntax"),
    ],
)
def test_options_that_cannot_be_read_are_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_spec(text)
    assert caught.value.faults[0].startswith(f"the options of '{text}' cannot be read: {why}")


def test_a_spec_names_only_what_differs_from_the_defaults() -> None:
    @dataclass(frozen=True)
    class Sample:
        rank: int = 8
        scale: float = 1.0
        kinds: tuple[str, ...] = ()

    assert spec_of("sample", Sample()) == "sample"
    assert spec_of("sample", Sample(rank=4, kinds=("q",))) == "sample(rank=4, kinds=('q',))"
    assert parse_spec(spec_of("sample", Sample(scale=math.pi)))[1] == {"scale": math.pi}
