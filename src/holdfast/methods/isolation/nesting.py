"""Steps within steps: an optimizer whose step calls that of its parent class may run its hooks twice."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import torch

_OPTIMIZER = str(Path(torch.optim.Optimizer.__module__.replace(".", "/")).with_suffix(".py"))


def within_a_step(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a hook of an optimizer is called by a step that was called by another step of the same optimizer.

    torch wraps the step of every class of which there has been an object, and each wrapper runs the hooks. Wrappers at
    work are found on the stack and not counted, so that a step that was broken off leaves no trace.
    """
    frame: FrameType | None = sys._getframe()
    found = 0
    while frame is not None:
        code = frame.f_code
        if code.co_name == "wrapper" and code.co_filename.endswith(_OPTIMIZER):
            found += frame.f_locals.get("self") is optimizer
        frame = frame.f_back
    return found > 1
