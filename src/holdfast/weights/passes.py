"""The gradient of a micro-batch, wherever a method wants it to be taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import torch

from holdfast.weights.contracts import Displacing

Found = TypeVar("Found")


def take_gradient(who: object, run: Callable[[], Found], step: int, micro_batch: int = 0) -> Found:
    """Send a micro-batch forward and backward, as often and at the weights that a method wants.

    The weights are afterwards what they were, also if a pass fails or is interrupted. All passes draw the same random
    numbers, such as those of dropout, and the generators go on from where one pass leaves them: torch's own of the
    processor and of the current CUDA device, and not those of other devices among which a model is divided.

    Args:
        who: An attachment, or something else that may be `Displacing`; nothing special happens for what is not.
        run: Goes forward and backward once, and so adds to the gradients.
        step: Number of the optimizer step, from 0.
        micro_batch: Number of the micro-batch in the step, from 0.

    Returns:
        What the first pass gave. Where there are several, it is the one at the weights that the optimizer moves.
    """
    if not isinstance(who, Displacing):
        return run()
    found = []
    for turn in range(who.passes):
        last = turn == who.passes - 1
        try:
            who.before_pass(step, micro_batch, turn)
            with nullcontext() if last else _drawn_again():
                found.append(run())
        finally:
            who.after_pass()
    return found[0]


@contextmanager
def _drawn_again() -> Iterator[None]:
    """What is drawn in the block will be drawn once more after it."""
    on_cuda = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = [torch.cuda.current_device()] if on_cuda else []
    with torch.random.fork_rng(devices):
        yield
