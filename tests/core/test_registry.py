"""What is installed is found by name, and listed without being imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from holdfast.core import registry
from holdfast.core.errors import UnknownName
from holdfast.core.task import Suite, Task
from holdfast.weights.contracts import Method


def test_listing_everything_imports_no_torch() -> None:
    program = (
        "import sys\n"
        "from holdfast.core import registry\n"
        "found = [entry for kind in registry.KINDS for entry in registry.listing(kind)]\n"
        "assert len(found) > 20, found\n"
        "heavy = {'torch', 'transformers', 'peft', 'datasets', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_names_are_sorted_and_complete() -> None:
    methods = registry.names("methods")
    assert list(methods) == sorted(methods)
    assert {"full", "lora", "dora", "pissa", "adalora", "oft", "boft", "hra", "ia3", "vera", "miss"} <= set(methods)
    assert registry.names("suites") == ("general",)


@pytest.mark.parametrize("kind", ["methods", "tasks", "suites"])
def test_everything_installed_has_a_summary_and_a_package(kind: registry.Kind) -> None:
    for entry in registry.listing(kind):
        assert entry.summary.endswith("."), entry
        assert " " in entry.package and entry.package != "unknown"


@pytest.mark.parametrize("name", registry.names("tasks"))
def test_what_is_listed_as_a_task_is_one(name: str) -> None:
    task = registry.lookup("tasks", name)()
    assert isinstance(task, Task)
    assert task.name == name


@pytest.mark.parametrize("name", [name for name in registry.names("methods") if name != "peft"])
def test_what_is_listed_as_a_method_is_one(name: str) -> None:
    method = registry.lookup("methods", name)()
    assert isinstance(method, Method)
    assert method.name == name
    assert method.faults() == ()


def test_the_suite_is_one() -> None:
    suite = registry.lookup("suites", "general")
    assert isinstance(suite, Suite)
    assert suite.keep and not suite.learn


def test_an_unknown_name_is_answered_by_the_nearest() -> None:
    with pytest.raises(UnknownName) as caught:
        registry.lookup("methods", "lorra")
    assert str(caught.value) == "unknown method 'lorra': did you mean 'lora'?"
    with pytest.raises(UnknownName, match=r"^unknown suite 'specific': known are: general$"):
        registry.lookup("suites", "specific")
