"""Step times of several methods are taken side by side and leave the base alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn

from holdfast.core.recipe import TrainingOptions
from holdfast.core.task import Example
from holdfast.methods.epi import Epi
from holdfast.methods.full import Full
from holdfast.methods.lora import Lora
from holdfast.methods.lota import Lota
from holdfast.methods.on_top import OnTop, OnTopAttachment
from holdfast.methods.trace_probe import TraceProbe
from holdfast.models.base import Base
from holdfast.models.identity import identity_of
from holdfast.train import cost
from holdfast.train.cost import ROUNDS, STEPS, step_seconds
from holdfast.weights.contracts import Method
from holdfast.weights.material import Material


class Noting(OnTopAttachment):
    """Writes down what is called."""

    calls: ClassVar[list[str]] = []

    def prepare(self, material: Material) -> None:
        assert len(list(material.source)) == len(material.target) == 1
        Noting.calls.append("prepare")

    def before_training(self, optimizer: torch.optim.Optimizer, steps: int) -> None:
        Noting.calls.append("before_training")

    def pull(self) -> torch.Tensor:
        Noting.calls.append("pull")
        return sum(tensor.square().sum() for tensor in self.trainable().values())  # type: ignore[return-value]

    def after_step(self, step: int, steps: int) -> None:
        Noting.calls.append("after_step")


@dataclass(frozen=True)
class Notes(OnTop):
    """A method that is watched."""

    name: ClassVar[str] = "notes"

    def attach(self, model: nn.Module) -> Noting:
        return Noting(self.inner.attach(model))


def test_what_a_method_does_in_a_step_is_timed_with_it(miniature: Base, examples: list[Example]) -> None:
    Noting.calls.clear()
    step_seconds(miniature, {"notes": Notes(on="lora(r=2)")}, examples, TrainingOptions(per_device_train_batch_size=2))
    assert Noting.calls == (["prepare", "before_training"] + ["pull", "after_step"] * (STEPS + 1)) * ROUNDS


@pytest.mark.parametrize("method", [Lota(ratio=0.2), Epi(ratio=0.2), TraceProbe()], ids=lambda method: method.name)
def test_methods_that_look_at_what_has_moved_are_timed_and_give_the_base_back(
    miniature: Base, examples: list[Example], method: Method
) -> None:
    before = identity_of(miniature.model)
    seconds = step_seconds(miniature, {"it": method}, examples, TrainingOptions(per_device_train_batch_size=2))
    assert seconds["it"] > 0
    assert identity_of(miniature.model) == before


BALLAST_BYTES = 128 * 2**20
HEAVY = [
    *("torch", "holdfast.models.base", "holdfast.train", "holdfast.train.hooks"),
    *("holdfast.weights", *(f"holdfast.weights.{room}" for room in ("contracts", "material", "passes", "quiet"))),
]


def test_every_method_gets_a_time_and_the_base_is_untouched(miniature: Base, examples: list[Example]) -> None:
    shares: list[float] = []
    options = TrainingOptions(per_device_train_batch_size=2)
    seconds = step_seconds(miniature, {"lora": Lora(r=2), "full": Full()}, examples, options, shares.append)
    assert set(seconds) == {"lora", "full"}
    assert all(value > 0 for value in seconds.values())
    assert shares[-1] == 1.0
    assert identity_of(miniature.model) == miniature.identity


def test_peak_memory_can_begin_anew_only_where_cuda_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    resets: list[bool] = []
    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda there=there: resets.append(there))
        assert cost.forget_peak_memory() is there
    assert resets == [True]


def test_peak_memory_counts_what_this_process_held_and_let_go_again() -> None:
    # In a process of its own: this one may hold so much already that the ballast would not show.
    # What it holds is read off the system: libraries that would take eight seconds to load are stood in for.
    program = (
        "import runpy, sys\n"
        "from unittest.mock import MagicMock\n"
        f"for name in {HEAVY}: sys.modules[name] = MagicMock()\n"
        "sys.modules['torch'].cuda.is_available.return_value = False\n"
        f"peak_memory_bytes = runpy.run_path({cost.__file__!r})['peak_memory_bytes']\n"
        "before = peak_memory_bytes()\n"
        f"ballast = b'x' * {BALLAST_BYTES}\n"
        "del ballast\n"
        "print(peak_memory_bytes() - before)\n"
    )
    mine = b"x" * 8 * BALLAST_BYTES  # what the parent holds is not the child's
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    del mine
    assert BALLAST_BYTES // 2 <= int(done.stdout) <= 2 * BALLAST_BYTES
