"""The gradient of a micro-batch is taken as often as a method wants, and weights come back whatever happens."""

from __future__ import annotations

import pytest
import torch

from holdfast.weights.contracts import Displacing
from holdfast.weights.passes import take_gradient


class Spy:
    """Wants a number of passes, and writes down what is called."""

    def __init__(self, passes: int) -> None:
        self.passes = passes
        self.calls: list[object] = []

    def before_pass(self, step: int, micro_batch: int, turn: int) -> None:
        self.calls.append((step, micro_batch, turn))

    def after_pass(self) -> None:
        self.calls.append("after")


def test_what_displaces_nothing_is_run_once() -> None:
    assert not isinstance(object(), Displacing)
    assert take_gradient(object(), lambda: "loss", 3) == "loss"


def test_passes_are_announced_and_ended_and_the_first_answer_counts() -> None:
    spy, answers = Spy(2), iter(["clean", "displaced"])
    assert take_gradient(spy, lambda: (spy.calls.append("run"), next(answers))[1], 5, 7) == "clean"
    assert spy.calls == [(5, 7, 0), "run", "after", (5, 7, 1), "run", "after"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_a_pass_that_fails_is_ended_too(kind: type[BaseException]) -> None:
    def run() -> None:
        raise kind

    spy = Spy(2)
    with pytest.raises(kind):
        take_gradient(spy, run, 0)
    assert spy.calls == [(0, 0, 0), "after"]


def test_an_announcement_that_fails_is_ended_too() -> None:
    class Failing(Spy):
        def before_pass(self, step: int, micro_batch: int, turn: int) -> None:
            raise KeyboardInterrupt

    spy = Failing(1)
    with pytest.raises(KeyboardInterrupt):
        take_gradient(spy, lambda: None, 0)
    assert spy.calls == ["after"]


def test_all_passes_draw_the_same_numbers_and_the_generator_goes_on_as_after_one() -> None:
    drawn: list[float] = []
    torch.manual_seed(3)
    take_gradient(Spy(2), lambda: drawn.append(float(torch.rand(()))), 0)
    after = float(torch.rand(()))
    torch.manual_seed(3)
    once, then = float(torch.rand(())), float(torch.rand(()))
    assert drawn == [once, once] and after == then
