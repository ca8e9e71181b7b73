"""Every form of a change in every precision and shape."""

from __future__ import annotations

import pytest
from twins import DTYPES, MAKERS, SHAPES, Twins


@pytest.fixture(params=[(form, dtype) for form in MAKERS for dtype in DTYPES], ids=lambda p: f"{p[0]}-{p[1]}")
def twins(request: pytest.FixtureRequest) -> list[Twins]:
    """One form in one precision, in every shape."""
    form, dtype = request.param
    return [MAKERS[form](*shape, dtype) for shape in SHAPES]
