"""Rules as users write them: a name, and in brackets its options, of which the first needs no name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from holdfast.core.errors import RecipeError, UnknownName
from holdfast.core.spec import parse_spec, write_spec


def read_rule(text: str, rules: Mapping[str, type[Any]]) -> Any:
    """The rule of a spec such as ``lose_at_most(0.02, sure=True)``.

    Args:
        text: What a user wrote.
        rules: Dataclasses of options by name.

    Returns:
        An instance of one of them.

    Raises:
        UnknownName: If no rule has the name.
        RecipeError: If the options cannot be read, or are not those of the rule.
    """
    name = text.split("(", maxsplit=1)[0].strip()
    if name not in rules:
        raise UnknownName("rule of choice", name, rules)
    options = [field.name for field in fields(rules[name])]
    if options:
        text = re.sub(r"\(\s*(?=[\d.+-])", f"({options[0]}=", text, count=1)
    _, given = parse_spec(text)
    if foreign := sorted(set(given) - set(options)):
        known = f"its options are {', '.join(options)}" if options else "it has no options"
        raise RecipeError([f"{name} has no option '{foreign[0]}'; {known}"], "rule of choice")
    switches = {field.name for field in fields(rules[name]) if isinstance(field.default, bool)}
    unclear = {key: value for key, value in given.items() if key in switches and not isinstance(value, bool)}
    if unclear:
        raise RecipeError([f"{key}={value!r} is neither True nor False" for key, value in unclear.items()], name)
    return rules[name](**given)


def write_rule(rule: Any) -> str:
    """The spec of a rule: its first option always and without a name, of the others those that were changed."""
    options = {field.name: (getattr(rule, field.name), field.default) for field in fields(rule)}
    first = next(iter(options), "")
    changed = {key: now for key, (now, default) in options.items() if key == first or now != default}
    return write_spec(rule.name, changed).replace(f"({first}=", "(", 1)


def is_number(value: object) -> bool:
    """Whether an option is a finite number, and not merely true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def refuse_options(name: str, faults: Sequence[str], example: str) -> None:
    """Refuse the options of a rule if there is anything wrong with them.

    Args:
        name: Of the rule.
        faults: What is wrong.
        example: How it is written.

    Raises:
        RecipeError: If there are faults.
    """
    if faults:
        raise RecipeError([f"{fault}; write for example {example}" for fault in faults], name)
