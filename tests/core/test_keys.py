"""Equal content has equal keys, on every machine."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.core.keys import canonical, key_of

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
contents = st.dictionaries(st.text(), scalars | st.lists(scalars), max_size=5)


@given(contents)
def test_a_key_does_not_depend_on_the_order_of_options(content: dict[str, object]) -> None:
    assert key_of(dict(reversed(content.items()))) == key_of(content)


@given(contents, contents)
def test_keys_are_equal_exactly_where_contents_are_written_alike(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert (key_of(one) == key_of(other)) == (canonical(one) == canonical(other))


def test_a_key_is_the_same_for_ever() -> None:
    # printf '{"a":[1.5,null,"ü"],"b":1}' | b2sum -l 64
    assert key_of({"b": 1, "a": [1.5, None, "ü"]}) == "af9cdee17a28fee0"


def test_another_session_makes_the_same_key() -> None:
    program = "from holdfast.core.keys import key_of; print(key_of({'a': 'x', 'b': [1, 2]}), end='')"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out == key_of({"a": "x", "b": [1, 2]})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_has_no_key(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        key_of({"rate": number})
