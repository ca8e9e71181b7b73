"""Options of recipes on the command line: ``--max_steps 100 --methods lora oft``, one for every field of the recipe."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_origin

import yaml

from holdfast.core.errors import RecipeError, unknown
from holdfast.core.recipe import Recipe


def recipe_and_overrides(kind: type[Recipe], words: Sequence[str]) -> tuple[Path | None, dict[str, Any]]:
    """The recipe file, if the first word is no option, and the values given on the command line.

    Raises:
        RecipeError: If a word belongs to no option, or an option is not one of the recipe's.
    """
    first = words[:1] if words and not words[0].startswith("--") else ()
    return (Path(first[0]) if first else None), overrides_from(kind, words[len(first) :])


def overrides_from(kind: type[Recipe], words: Sequence[str]) -> dict[str, Any]:
    """Values given on the command line, by field; dashes and underscores are the same.

    A flag without a value means yes; a field that takes several values takes all words up to the next option. Values
    are read as YAML, so that ``3e-4``, ``null`` and ``[1, 2]`` mean what they mean in a recipe.

    Raises:
        RecipeError: If a word belongs to no option, or an option is not one of the recipe's.
    """
    given: dict[str, list[str]] = {}
    faults: list[str] = []
    name: str | None = None
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = name.replace("-", "_")
            given.setdefault(name, []).extend([value] if equals else [])
            if name not in kind.model_fields:
                faults.append(unknown("option", name, tuple(kind.model_fields)))
        elif name is None:
            faults.append(f"'{word}' belongs to no option; options are written --name value")
        else:
            given[name].append(word)
    for option, values in given.items():
        if option in kind.model_fields and len(values) > 1 and not _takes_many(kind, option):
            faults.append(f"{option}: takes one value, got {' '.join(values)}")
    if faults:
        raise RecipeError(faults, "command line")
    return {option: _value(kind, option, values) for option, values in given.items()}


def described(kind: type[Recipe]) -> list[tuple[str, str, str]]:
    """Every option of a recipe with its default and its meaning, as its documentation has it."""
    meanings: dict[str, str] = {}
    for cls in reversed(kind.__mro__):
        meanings.update(_attributes(inspect.getdoc(cls) or ""))
    return [
        (f"--{name}", _written(field.get_default()), meanings.get(name, ""))
        for name, field in kind.model_fields.items()
    ]


def _attributes(docstring: str) -> dict[str, str]:
    section = docstring.partition("Attributes:")[2]
    entries = re.findall(r"^    (\w+): (.+(?:\n        .+)*)", section, flags=re.MULTILINE)
    return {name: " ".join(text.replace("``", "").split()) for name, text in entries}


def _written(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(str, default))
    return "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def _takes_many(kind: type[Recipe], name: str) -> bool:
    return get_origin(kind.model_fields[name].annotation) is tuple


def _value(kind: type[Recipe], name: str, values: list[str]) -> Any:
    if _takes_many(kind, name):
        return [_read(value) for value in values]
    return _read(values[0]) if values else True


def _read(text: str) -> Any:
    value = yaml.safe_load(text)
    # YAML 1.1 takes 3e-4 for a text: it wants a dot in a number with an exponent.
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        return float(value)
    return value
