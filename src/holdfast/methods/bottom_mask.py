"""Control of EPI: the scalars that the present loss is least sensitive to are held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.methods.epi import Epi
from holdfast.methods.isolation.choosing import Hold


@dataclass(frozen=True)
class BottomMask(Epi):
    """EPI upside down: the same share, signal and schedule, and the lowest scores instead of the highest."""

    name: ClassVar[str] = "bottom_mask"
    hold: ClassVar[Hold] = "bottom"
