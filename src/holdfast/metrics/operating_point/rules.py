"""The rules by which a point of a path is chosen, each written as ``name(option)``.

A rule sees validation scores alone and answers with one of the candidates. Where two points are as good, it takes the
smaller step: retention falls with the step, and a difference within noise is no reason to go further.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, Protocol, get_args

import numpy as np
from jaxtyping import Float

from holdfast.core.errors import NotMeasurable
from holdfast.metrics.operating_point.candidates import Curve
from holdfast.metrics.operating_point.rule_spec import is_number, read_rule, refuse_options, write_rule
from holdfast.metrics.operating_point.smoothing import three_point_rows
from holdfast.metrics.operating_point.utility import best, safest

FEWEST_ITEMS: Final = 20
"""With fewer items a task says too little, and an interval that rests on them is not to be trusted."""

ERRORS_OF_95: Final = NormalDist().inv_cdf(0.975)
"""Half the width of a 95 % interval in standard errors."""

Least = Literal["step", "forgetting"]


class Rule(Protocol):
    """What every rule can do."""

    @property
    def spec(self) -> str:
        """How the rule is written, such as ``keep_gain(0.95)``; `rule_of` reads it back."""

    def pick(self, curve: Curve) -> int:
        """Place of the chosen candidate on the curve.

        Raises:
            NotMeasurable: If the candidates lack what the rule goes by.
        """

    def apart(self, curve: Curve, one: int, other: int) -> bool:
        """Whether two candidates differ, beyond their noise, in what the rule goes by."""


@dataclass(frozen=True)
class OneStandardError:
    """The smallest step whose target score is not worse than the best by more than one paired standard error."""

    name: ClassVar[str] = "one_standard_error"

    @property
    def spec(self) -> str:
        return write_rule(self)

    def pick(self, curve: Curve) -> int:
        return safest(curve.gain, best(curve.gain, curve.by_step), curve.by_step)

    def apart(self, curve: Curve, one: int, other: int) -> bool:
        return curve.gain.apart(one, other)


@dataclass(frozen=True)
class KeepGain:
    """The smallest step that keeps a share of the best gain, gains being smoothed over neighbours in t.

    Attributes:
        share: Of the best smoothed gain, above 0 and at most 1.
        least: What is least among the points that keep so much: the ``step``, which has no noise, or the measured
            ``forgetting``, which has and flatters whom it favours.
        safer: Go back further as long as the smoothed gain is not worse by more than one paired standard error.
    """

    name: ClassVar[str] = "keep_gain"
    share: float = 0.95
    least: Least = "step"
    safer: bool = False

    def __post_init__(self) -> None:
        faults = (
            [] if is_number(self.share) and 0 < self.share <= 1 else [f"share={self.share!r} is not within 0 and 1"]
        )
        if self.least not in get_args(Least):
            faults.append(f"least={self.least!r} is neither 'step' nor 'forgetting'")
        refuse_options(self.name, faults, "keep_gain(0.95)")

    @property
    def spec(self) -> str:
        return write_rule(self)

    def pick(self, curve: Curve) -> int:
        smoothed = curve.gain.mixed(three_point_rows([each.t for each in curve.candidates]))
        # Beyond a shoulder the smoothing line rises above all that was measured. The base gains 0, the best no less.
        most = min(float(smoothed.values.max()), float(curve.gain.values.max()))
        enough = self.share * most - smoothed.slack
        keeping = [i for i in curve.by_step if smoothed.values[i] >= enough]
        chosen = keeping[0] if self.least == "step" else best(curve.forgetting.times(-1), keeping)
        return safest(smoothed, chosen, curve.by_step) if self.safer else chosen

    def apart(self, curve: Curve, one: int, other: int) -> bool:
        return curve.gain.apart(one, other)


@dataclass(frozen=True)
class LoseAtMost:
    """The most target gain among points that forget no more than an amount.

    Attributes:
        amount: In the unit of what is kept: score for graded answers, nats a token for texts.
        sure: Ask it of the upper end of the paired 95 % interval of forgetting, not of its value.
        safer: Go back further as long as the gain is not worse by more than one paired standard error.
    """

    name: ClassVar[str] = "lose_at_most"
    amount: float = 0.02
    sure: bool = False
    safer: bool = False

    def __post_init__(self) -> None:
        faults = [] if is_number(self.amount) and self.amount >= 0 else [f"amount={self.amount!r} is below 0"]
        refuse_options(self.name, faults, "lose_at_most(0.02)")

    @property
    def spec(self) -> str:
        return write_rule(self)

    def pick(self, curve: Curve) -> int:
        lost = self._upper(curve) if self.sure else curve.forgetting.values
        allowed = [i for i in curve.by_step if lost[i] <= self.amount + curve.forgetting.slack]
        chosen = best(curve.gain, allowed)
        return safest(curve.gain, chosen, allowed) if self.safer else chosen

    def apart(self, curve: Curve, one: int, other: int) -> bool:
        return curve.gain.apart(one, other) or curve.forgetting.apart(one, other)

    def _upper(self, curve: Curve) -> Float[np.ndarray, " candidates"]:
        """Upper ends of the intervals of forgetting; 0 at the base, which forgets nothing."""
        few = {part.name: part.shares.size for part in curve.forgetting.parts if part.shares.size < FEWEST_ITEMS}
        if few:
            listed = ", ".join(f"{name} has {items}" for name, items in few.items())
            raise NotMeasurable(
                f"{self.spec} needs at least {FEWEST_ITEMS} items of every kept task to be sure of anything: {listed}; "
                "give more items, or ask without sure"
            )
        places = range(len(curve.candidates))
        widths = [0.0, *(curve.forgetting.half_width(place, 0, ERRORS_OF_95) for place in places[1:])]
        upper: Float[np.ndarray, " candidates"] = curve.forgetting.values + np.array(widths)
        return upper


@dataclass(frozen=True)
class Weighted:
    """The most gain minus forgetting times a factor.

    Attributes:
        factor: How much gain a point of forgetting undoes; it converts units where gain and forgetting differ in them.
        safer: Go back further as long as the sum is not worse by more than one paired standard error.
    """

    name: ClassVar[str] = "weighted"
    factor: float = 1.0
    safer: bool = False

    def __post_init__(self) -> None:
        faults = [] if is_number(self.factor) and self.factor >= 0 else [f"factor={self.factor!r} is below 0"]
        refuse_options(self.name, faults, "weighted(1)")

    @property
    def spec(self) -> str:
        return write_rule(self)

    def pick(self, curve: Curve) -> int:
        utility = curve.gain.plus(curve.forgetting.times(-self.factor))
        chosen = best(utility, curve.by_step)
        return safest(utility, chosen, curve.by_step) if self.safer else chosen

    def apart(self, curve: Curve, one: int, other: int) -> bool:
        return curve.gain.plus(curve.forgetting.times(-self.factor)).apart(one, other)


@dataclass(frozen=True)
class KlBudget:
    """The largest step at which the model still answers general text nearly as the base does.

    Attributes:
        kappa_nats: Most KL(base || point) in nats a token.
        safer: Go back further as long as the gain is not worse by more than one paired standard error.
    """

    name: ClassVar[str] = "kl_budget"
    kappa_nats: float = 0.1
    safer: bool = False

    def __post_init__(self) -> None:
        fine = is_number(self.kappa_nats) and self.kappa_nats >= 0
        refuse_options(self.name, [] if fine else [f"kappa_nats={self.kappa_nats!r} is below 0"], "kl_budget(0.1)")

    @property
    def spec(self) -> str:
        return write_rule(self)

    def pick(self, curve: Curve) -> int:
        within = [i for i, kl in enumerate(self._kl(curve)) if kl <= self.kappa_nats]
        allowed = [i for i in curve.by_step if i in within]
        return safest(curve.gain, allowed[-1], allowed) if self.safer else allowed[-1]

    def apart(self, curve: Curve, one: int, other: int) -> bool:
        kl = self._kl(curve)
        return (kl[one] <= self.kappa_nats) != (kl[other] <= self.kappa_nats)

    def _kl(self, curve: Curve) -> list[float]:
        """KL of every candidate; that of the base from itself is 0."""
        missing = [f"{each.t:g}" for each in curve.candidates[1:] if each.kl_nats is None]
        if missing:
            raise NotMeasurable(
                f"{self.spec} needs KL(base || point) on general text at every point, and it is missing at "
                f"t = {', '.join(missing)}; give a text to be kept, and score it with the base at hand"
            )
        return [0.0, *(each.kl_nats or 0.0 for each in curve.candidates[1:])]


RULES: Final[Mapping[str, type[Any]]] = MappingProxyType(
    {rule.name: rule for rule in (OneStandardError, KeepGain, LoseAtMost, Weighted, KlBudget)}
)
"""The rules by name; the first is the default."""


def rule_of(text: str) -> Rule:
    """The rule of a spec such as ``lose_at_most(0.02, sure=True)``; the first option needs no name.

    Args:
        text: What a user wrote.

    Returns:
        The rule; `holdfast.core.errors.RecipeError` and `UnknownName` say what is wrong with the spec.
    """
    rule: Rule = read_rule(text, RULES)
    return rule
