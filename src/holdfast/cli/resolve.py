"""Names into objects: what users write in recipes, looked up among what is installed and what lies on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.core import registry
from holdfast.core.errors import HoldfastError, RecipeError, unknown
from holdfast.core.recipe import ArenaRecipe, TrainingOptions, TrainRecipe
from holdfast.core.sequence_recipe import SequenceRecipe, orders_of
from holdfast.core.task import Suite, Task
from holdfast.metrics.operating_point.rules import rule_of
from holdfast.tasks.files import FileTask

SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".txt")

if TYPE_CHECKING:
    from holdfast.arena.jobs import TrainingItems
    from holdfast.arena.plan import Contest
    from holdfast.arena.sequence.curriculum import Curriculum
    from holdfast.weights.contracts import Method


def contest_of(recipe: ArenaRecipe) -> Contest:
    """The contest that a recipe describes.

    Raises:
        RecipeError: With every fault of its methods, tasks and data at once.
    """
    from holdfast.arena.plan import Contest
    from holdfast.methods.on_top import method_named

    faults: list[str] = []
    methods = {text: _tried(partial(method_named, text), faults) for text in recipe.methods}
    learn, source = _taught(recipe, faults)
    keep = _tried(lambda: tasks_of(recipe.retention), faults)
    _check_files([*learn.values(), *(keep or {}).values()], faults)
    faults.extend(_source_faults(methods.values(), recipe))
    if learn and keep and set(learn) & set(keep):
        faults.append(f"retention: {', '.join(set(learn) & set(keep))} is also the target")
    if recipe.rewind_rule is not None:
        _tried(partial(rule_of, recipe.rewind_rule), faults)
    if faults:
        raise RecipeError(list(dict.fromkeys(faults)))
    catalogue = {name: registry.lookup("methods", name)() for name in registry.names("methods")}
    return Contest(recipe, methods, catalogue, learn, keep, source)


def curriculum_of(recipe: SequenceRecipe) -> Curriculum:
    """The sequences that a recipe describes.

    Raises:
        RecipeError: With every fault of its methods, tasks and data at once.
    """
    from holdfast.arena.sequence.curriculum import Curriculum
    from holdfast.methods.on_top import method_named

    faults: list[str] = []
    texts = dict.fromkeys([*recipe.methods, *recipe.alone, *recipe.jointly])
    methods = {text: _tried(partial(method_named, text), faults) for text in texts}
    tasks: dict[str, Task] = {}
    for name in recipe.tasks:
        found = _tried(partial(learned_tasks, name, "tasks"), faults) or {}
        if len(found) > 1 and name not in registry.names("suites"):
            faults.append(
                f"tasks: '{name}' mixes tasks, and a sequence learns one after the other: list each by itself"
            )
        faults.extend(
            f"tasks: '{task}' is listed twice, the second time by '{name}'" for task in found if task in tasks
        )
        tasks.update(found)
    source = _known(recipe, faults)
    keep = _tried(lambda: tasks_of(recipe.retention), faults) or {}
    _check_files([*tasks.values(), *keep.values()], faults)
    faults.extend(_unit_faults("tasks", tasks, faults))
    faults.extend(
        f"retention: '{name}' is also among the tasks, so that stages train it" for name in keep if name in tasks
    )
    if recipe.rewind_rule is not None:
        _tried(partial(rule_of, recipe.rewind_rule), faults)
    # Where a task is missing, every order would be told to be wrong.
    orders = () if faults else _tried(partial(orders_of, tuple(tasks), recipe.orders, recipe.order_seed), faults)
    if faults:
        raise RecipeError(list(dict.fromkeys(faults)))
    catalogue = {name: registry.lookup("methods", name)() for name in registry.names("methods")}
    return Curriculum(recipe, methods, catalogue, tasks, orders, keep, source)


def lesson_of(recipe: TrainRecipe) -> tuple[Method, TrainingItems]:
    """What one training run moves, and what it trains on.

    Raises:
        RecipeError: With every fault of its method, tasks and data at once.
    """
    from holdfast.arena.jobs import TrainingItems
    from holdfast.methods.on_top import method_named
    from holdfast.train.data import items_needed

    faults: list[str] = []
    method = _tried(partial(method_named, recipe.method), faults)
    learn, source = _taught(recipe, faults)
    faults.extend(_source_faults([method], recipe))
    if faults:
        raise RecipeError(faults)
    limit = items_needed(recipe, len(learn))
    return method, TrainingItems(learn, limit, known=source, known_limit=recipe.source_items)


def learned_tasks(target: str, option: str = "target") -> dict[str, Task]:
    """The tasks that a target names: one, several joined by ``+``, or what a suite says is to be learned.

    Args:
        target: The text.
        option: The option of the recipe that it stands in, for messages.

    Raises:
        RecipeError: If a name is unknown, given twice, or of a suite that has nothing to be learned.
    """
    # A file may have a plus in its name.
    names = [target] if Path(target.partition("#")[0]).exists() else target.split("+")
    faults = [f"{option}: '{name}' is named twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    found: dict[str, Task] = {}
    for name in dict.fromkeys(names):
        if name in registry.names("suites"):
            suite: Suite = registry.lookup("suites", name)
            found.update({task.name: task for task in suite.learn})
            if not suite.learn:
                faults.append(f"{option}: suite '{name}' holds nothing to be learned; name one or more tasks, as a+b")
        else:
            found.update(_tried(partial(tasks_of, [name]), faults) or {})
    if faults:
        raise RecipeError(faults)
    return found


def _taught(recipe: TrainingOptions, faults: list[str]) -> tuple[dict[str, Task], dict[str, Task]]:
    """What is to be learned, and what stands for what the model already knows; what is wrong with them is added."""
    learn: dict[str, Task] = _tried(lambda: learned_tasks(recipe.target), faults) or {}
    faults.extend(_unit_faults("target", learn, faults))
    if recipe.train_items is not None and recipe.train_items < len(learn):
        faults.append(
            f"train_items: {recipe.train_items} cannot be shared by {len(learn)} tasks; give {len(learn)} or more"
        )
    return learn, _known(recipe, faults)


def _known(recipe: TrainingOptions, faults: list[str]) -> dict[str, Task]:
    """What stands for what the model already knows; what is wrong with it is added to ``faults``."""
    source: dict[str, Task] = _tried(lambda: tasks_of(recipe.source), faults) or {}
    for name, task in source.items():
        if not _tried(partial(task.examples, "train", 1), faults):
            faults.append(f"source: '{name}' gives no training example")
    return source


def _check_files(tasks: Iterable[Task], faults: list[str]) -> None:
    """Look into the user's own data; what is wrong with it is added to ``faults``."""
    for task in tasks:
        if isinstance(task, FileTask):
            _tried(task.check, faults)


def _unit_faults(option: str, tasks: Mapping[str, Task], faults: list[str]) -> list[str]:
    """What is wrong with learning such tasks together; what is wrong with one of them is added to ``faults``."""
    asked = {name: _tried(partial(getattr, task, "ask"), faults) for name, task in tasks.items()}
    read = [name for name, ask in asked.items() if ask == "read"]
    graded = [name for name, ask in asked.items() if ask not in {"read", None}]
    if not (read and graded):
        return []
    return [
        f"{option}: '{read[0]}' is scored in nats and '{graded[0]}' by its share of right answers; their gains have "
        "no mean, so they cannot be learned together"
    ]


def _source_faults(methods: Iterable[Method | None], recipe: TrainingOptions) -> list[str]:
    from holdfast.weights.contracts import Sourced

    needy = [method.spec() for method in methods if isinstance(method, Sourced) and method.needs_source]
    return [
        f"source: {spec} draws on examples of what the model already knows; name tasks, suites or files that hold "
        "some, such as source: [general]"
        for spec in needy
        if not recipe.source
    ]


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
