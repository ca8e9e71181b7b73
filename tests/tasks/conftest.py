"""Every installed task, one test a task."""

from __future__ import annotations

import pytest

from holdfast.core import registry
from holdfast.core.task import Task


@pytest.fixture(params=registry.names("tasks"))
def task(request: pytest.FixtureRequest) -> Task:
    return registry.lookup("tasks", request.param)()
