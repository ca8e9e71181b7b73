"""Names with options, as users write them: ``oft(block_size=16, exact=False)``."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from typing import Any

from holdfast.core.errors import RecipeError

PATTERN = re.compile(r"(?P<name>[\w:.\-]+)(\((?P<options>.*)\))?")


def parse_spec(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of a spec; options are Python literals.

    Raises:
        RecipeError: If the text is not a name with options.
    """
    match = PATTERN.fullmatch(text.strip())
    if match is None:
        raise RecipeError([f"'{text}' is not a name with options; write for example oft(block_size=16)"])
    try:
        call = ast.parse(f"f({match['options'] or ''})", mode="eval").body
        # An option such as 1)(2 closes the bracket it stands in, and makes of the whole something else than f(...).
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            raise ValueError("brackets are closed before the end")
        options = {keyword.arg: _literal(keyword) for keyword in call.keywords if keyword.arg}
        if call.args or len(options) != len(call.keywords):
            raise ValueError("options are written name=value")
    except (SyntaxError, ValueError, TypeError) as error:
        raise RecipeError([f"the options of '{text}' cannot be read: {error}"]) from error
    return match["name"], options


def _literal(option: ast.keyword) -> Any:
    try:
        return ast.literal_eval(option.value)
    except ValueError as error:
        raise ValueError(f"'{option.arg}' is neither a number, nor a text in quotes, nor another literal") from error


def write_spec(name: str, options: dict[str, Any]) -> str:
    """The spec of a name with options; the inverse of ``parse_spec``."""
    listed = ", ".join(f"{option}={value!r}" for option, value in options.items())
    return f"{name}({listed})" if listed else name


def spec_of(name: str, options: Any) -> str:
    """The spec of a dataclass of options, under a name: the options that differ from their defaults.

    ``options`` is the instance itself; its class must have a default for every field.
    """
    default = type(options)()
    listed = {field.name: getattr(options, field.name) for field in fields(options)}
    return write_spec(name, {key: value for key, value in listed.items() if value != getattr(default, key)})
