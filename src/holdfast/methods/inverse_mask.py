"""Control of EPI: only the most sensitive share is trained, and all the rest is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.methods.epi import Epi
from holdfast.methods.isolation.choosing import Hold


@dataclass(frozen=True)
class InverseMask(Epi):
    """Train what EPI would hold, as MoFO, GMT, FGGM, MIGU and PIECE do in ways of their own: the opposite belief.

    Here ``ratio`` is the share that is trained. Scalars that are not eligible are trained as in EPI, and until the
    first choice everything is.
    """

    name: ClassVar[str] = "inverse_mask"
    hold: ClassVar[Hold] = "rest"
