"""What all tests share: no network, one thread, a small model, and the miniature, which no test may change.

Libraries are loaded where they are used: the process that hands tests out to others would load them for nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from holdfast.models.base import Base
    from holdfast.weights.update import Update

settings.register_profile("holdfast", deadline=None, derandomize=True, database=None)
settings.load_profile("holdfast")


def pytest_configure(config: pytest.Config) -> None:
    """One thread, and the same numbers for what tests draw while they are collected."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes test, the tests of a file stay in one: what they share is then made once.

    Files come in their usual order, which begins with the long ones; another ``--dist`` is heeded.
    """
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test draws the same numbers, whichever ran before it: torch seeds each process at random."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def miniature() -> Iterator[Base]:
    from holdfast.models.base import open_base
    from holdfast.models.identity import identity_of

    base = open_base("miniature")
    yield base
    assert identity_of(base.model) == base.identity, "a test has changed the miniature that all tests share"


@pytest.fixture
def model() -> PreTrainedModel:
    """A small model that a test may do with as it likes."""
    from holdfast.testing.laws import small_model

    return small_model()


@pytest.fixture
def inputs() -> Tensor:
    """Tokens for it to read."""
    import torch

    return torch.randint(3, 128, (3, 11), generator=torch.Generator().manual_seed(4))


@pytest.fixture(scope="session")
def real() -> Path:
    """Where weights and data lie that are not part of the project."""
    folder = Path(os.environ.get("HOLDFAST_REAL", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}: set HOLDFAST_REAL to a folder with real weights and data")
    return folder


@pytest.fixture(scope="session")
def toy(real: Path) -> Path:
    """A base, three checkpoints of it, and what others measured of them."""
    folder = real / "reference" / "geometry-toy"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    return folder


@pytest.fixture(scope="session")
def independent(toy: Path) -> dict[str, Any]:
    """What an independent program found, in float64."""
    return json.loads((toy / "independent.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def printed(toy: Path) -> dict[str, Any]:
    """What public tools print, with the tolerances to which it was confirmed."""
    return json.loads((toy / "reference.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def toy_base(toy: Path) -> Iterator[PreTrainedModel]:
    import torch
    from small import bits, same_bits
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(toy / "base", dtype=torch.float32)
    before = bits(base)
    yield base
    assert same_bits(bits(base), before), "a test has changed the base that others share"


@pytest.fixture(scope="module")
def toy_updates(toy: Path, toy_base: PreTrainedModel) -> dict[str, Update]:
    from holdfast.weights.adapter import read_adapter
    from holdfast.weights.checkpoint import read_full

    return {
        "full": read_full(toy / "base", toy / "full"),
        "lora-r8": read_adapter(toy / "lora-r8", toy_base),
        "oft-b32": read_adapter(toy / "oft-b32", toy_base),
    }
