"""Static isolation: chosen once as EPI chooses, and held to the end of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from holdfast.methods.epi import Epi


@dataclass(frozen=True)
class Static(Epi):
    """EPI with an infinite interval: its first choice stands. What evolving isolation is measured against."""

    name: ClassVar[str] = "static"

    interval: float | None = math.inf
