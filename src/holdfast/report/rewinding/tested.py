"""The base, the chosen point and the finished checkpoint on test items, which took no part in the choice."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.core.rewinding import Rewinding
from holdfast.metrics.operating_point.finding import Finding
from holdfast.metrics.tradeoff import BASE
from holdfast.report.rewinding.held import Held, Standing, items_of

CHOSEN, FINAL = "chosen", "finished"


@dataclass(frozen=True)
class Tested:
    """What test items say.

    Attributes:
        held: The points against the base.
        base: The base.
        chosen: The chosen point, which may be the base or the end.
        final: The finished checkpoint.
        gain_kept: Gain of the chosen point as a share of the final gain.
        recovered: Final forgetting minus that of the chosen point.
    """

    held: Held
    base: Standing
    chosen: Standing
    final: Standing
    gain_kept: Finding
    recovered: Finding


def tested(found: Rewinding) -> Tested | None:
    """What test items say; nothing where none were asked."""
    if not found.test:
        return None
    by_t = {float(t): scores for t, scores in found.test.items()}
    # Places are kept to six digits there, so that the nearest is the one that is meant.
    chosen = by_t[min(by_t, key=lambda t: abs(t - found.t))]
    points = {CHOSEN: items_of(chosen), FINAL: items_of(by_t[max(by_t)])}
    held = Held(found.learn, found.keep, by_t[min(by_t)], points)
    return Tested(
        held=held,
        base=held.standing(BASE),
        chosen=held.standing(CHOSEN),
        final=held.standing(FINAL),
        gain_kept=held.gain_share(CHOSEN, FINAL),
        recovered=held.lost(FINAL, CHOSEN),
    )
