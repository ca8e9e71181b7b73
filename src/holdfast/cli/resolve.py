"""Names into objects: what users write in recipes, looked up among what is installed and what lies on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from holdfast.core import registry
from holdfast.core.errors import HoldfastError, RecipeError, unknown
from holdfast.core.recipe import ArenaRecipe
from holdfast.core.spec import parse_spec
from holdfast.core.task import Suite, Task
from holdfast.metrics.operating_point.rules import rule_of
from holdfast.tasks.files import FileTask

SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".txt")

if TYPE_CHECKING:
    from holdfast.arena.plan import Contest
    from holdfast.weights.contracts import Method


def contest_of(recipe: ArenaRecipe) -> Contest:
    """The contest that a recipe describes.

    Raises:
        RecipeError: With every fault of its methods, tasks and data at once.
    """
    from holdfast.arena.plan import Contest

    faults: list[str] = []
    methods = {text: _tried(partial(method_of, text), faults) for text in recipe.methods}
    learn = _tried(lambda: tasks_of([recipe.target]), faults)
    keep = _tried(lambda: tasks_of(recipe.retention), faults)
    for task in [*(learn or {}).values(), *(keep or {}).values()]:
        if isinstance(task, FileTask):
            _tried(task.check, faults)
    if learn and len(learn) != 1:
        faults.append(f"target: one task is learned at a time, and '{recipe.target}' holds {len(learn)}")
    if learn and keep and set(learn) & set(keep):
        faults.append(f"retention: {', '.join(set(learn) & set(keep))} is also the target")
    if recipe.rewind_rule is not None:
        _tried(partial(rule_of, recipe.rewind_rule), faults)
    if faults:
        raise RecipeError(faults)
    catalogue = {name: registry.lookup("methods", name)() for name in registry.names("methods")}
    return Contest(recipe, methods, catalogue, learn, keep)


def method_of(text: str) -> Method:
    """The method that a spec such as ``oft(block_size=16)`` or ``peft:loha(r=4)`` names.

    Raises:
        RecipeError: If there is none of that name, or it has no such option, or a value is not possible.
    """
    name, options = parse_spec(text)
    family, _, tuner = name.partition(":")
    kind = registry.lookup("methods", family)
    if tuner:
        method: Method = kind(tuner=tuner, options=MappingProxyType(options))
    else:
        known = [field.name for field in fields(kind)]
        faults = [f"{name}: {unknown('option', option, known)}" for option in options if option not in known]
        if faults:
            raise RecipeError(faults)
        method = kind(**options)
    if method.faults():
        raise RecipeError(method.faults())
    return method


def tasks_of(names: Sequence[str]) -> dict[str, Task]:
    """Tasks by name: installed ones, all of a suite's, or the user's own data.

    Raises:
        RecipeError: If a name is neither a suite, nor a task, nor a file.
    """
    found: dict[str, Task] = {}
    faults: list[str] = []
    for name in names:
        if name in registry.names("suites"):
            suite: Suite = registry.lookup("suites", name)
            found.update({task.name: task for task in (*suite.learn, *suite.keep)})
        elif name in registry.names("tasks"):
            found[name] = registry.lookup("tasks", name)()
        elif _is_data(name):
            found[name] = FileTask(name)
        else:
            known = (*registry.names("suites"), *registry.names("tasks"))
            missing = Path(name).suffix in SUFFIXES or name.startswith((".", "/", "~"))
            faults.append(f"there is no file '{name}'" if missing else unknown("task, suite or file", name, known))
    if faults:
        raise RecipeError(faults)
    return found


def _is_data(name: str) -> bool:
    path = Path(name.partition("#")[0])
    # A name with a slash that is no file may be a data set of the hub.
    return path.exists() or ("/" in name and not path.suffix)


def _tried(make: Callable[[], Any], faults: list[str]) -> Any:
    try:
        return make()
    except RecipeError as error:
        faults.extend(error.faults)
    except HoldfastError as error:
        faults.append(str(error))
    return None
