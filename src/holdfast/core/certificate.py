"""What every fine-tune within a distance must keep, with the sentence without which it must not be shown."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from holdfast.core.document import Document

Frac = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

NEGLIGIBLE_FRAC: Final = 0.01
"""A bound this little above chance says nothing that chance does not."""


class Certificate(Document):
    """What every fine-tune within a distance must keep, on average over the noise.

    Attributes:
        ability: Name of the task.
        about: ``score`` for the mean score under noise; ``share`` for the share of directions that score at least
            ``threshold``.
        threshold: The score that a direction must reach; absent for the mean score.
        space: Where the noise lies, such as ``all weights`` or ``B of an adapter, A frozen``.
        sigma: Size of the noise.
        level: Confidence of ``p_lower``.
        method: How ``p_lower`` was found.
        directions: From how many directions.
        p_lower: Lower confidence limit of the share or score at the base; never its estimate.
        keep: What the radius keeps.
        radius: Length of the longest displacement that surely keeps it; absent where even none does.
        displacement: Length of the displacement of interest: sigma times its Mahalanobis norm; absent without one.
        strong: What is surely kept at that displacement.
        weak: The same by the Lipschitz constant of the smoothed score alone, never more than ``strong``.
        chance: Score of a guess that knows nothing.
    """

    ability: str
    about: Literal["score", "share"]
    threshold: Frac | None = None
    space: str
    sigma: Positive
    level: Frac
    method: str
    directions: int = Field(ge=1)
    p_lower: Frac
    keep: Frac
    radius: Positive | None = None
    displacement: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    strong: Frac | None = None
    weak: FiniteFloat | None = None
    chance: Frac = 0.0

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.about == "share") != (self.threshold is not None):
            raise ValueError("a certificate about a share names the score to be reached, one about a score does not")
        if len({self.displacement is None, self.strong is None, self.weak is None}) != 1:
            raise ValueError("bounds belong to a displacement: give all three or none")
        return self

    @property
    def ratio(self) -> float | None:
        """How many radii the displacement of interest is long; beyond 1 the certificate does not keep ``keep``."""
        return None if self.displacement is None or self.radius is None else self.displacement / self.radius

    @property
    def score_floor(self) -> float | None:
        """The mean score that is surely kept: of the directions above a threshold, each gives at least that much."""
        return None if self.strong is None else self.strong * (1.0 if self.threshold is None else self.threshold)

    @property
    def vacuous(self) -> bool:
        """Whether it says nothing: the score kept is that of a guess, or without a displacement there is no radius."""
        if self.score_floor is None:
            return self.radius is None
        return self.score_floor <= self.chance + NEGLIGIBLE_FRAC

    @property
    def line(self) -> str:
        """The sentence without which the numbers must not be shown."""
        what = "score" if self.threshold is None else f"share of directions that score {self.threshold:.4g} or more"
        parts = [
            f"sigma {self.sigma:.4g} on {self.space}",
            f"p_lower {self.p_lower:.4f} ({self.level:.4g} confidence, {self.method}, {self.directions} directions)",
            f"radius {self.radius:.4g} keeps the smoothed {what} at {self.keep:.4g}"
            if self.radius is not None
            else f"no radius: p_lower is not above the {self.keep:.4g} to be kept",
        ]
        if self.strong is not None:
            reach = "" if self.ratio is None else f", {self.ratio:.4g} radii"
            parts.append(f"displacement {self.displacement:.4g}{reach}, at which {self.strong:.4f} is kept")
        if self.vacuous:
            parts.append("vacuous" if self.strong is None else f"vacuous (chance is {self.chance:.4g})")
        return "; ".join(parts) + ". It bounds the model under noise, never the fine-tuned model itself."
