"""A page from its template: one file that holds all that it needs, plotly.js included."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from holdfast.report.wording import listed, typeset


def rendered(template: str, facts: Mapping[str, Any]) -> str:
    """A template filled with facts, as HTML; a fact that it misses is an error."""
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("holdfast.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["typeset"] = typeset
    environment.filters["listed"] = listed
    return environment.get_template(template).render(facts, plotly=Markup(get_plotlyjs())) + "\n"


def embedded(data: Mapping[str, Any] | None) -> Markup | None:
    """Data, such as a figure, as JSON that cannot end the script element around it."""
    if data is None:
        return None
    return Markup(json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"))
