"""How much of the relations between representations a change has left: kernels and principal subspaces."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.moments import Moments, require_finite
from holdfast.algebra.procrustes import align
from holdfast.core.errors import NotMeasurable

SUBSPACES = (8, 16, 32, 64)
"""Dimensions of principal subspaces that are compared where none are asked for."""

TIED = 1e-10
"""Variances nearer than this share of the largest belong to directions that could as well be exchanged."""


def cka_biased(moments: Moments) -> float:
    """Linear CKA (Kornblith et al., arXiv 1905.00414): 0 to 1, and 1 for rows that were turned and scaled as a whole.

    Two unrelated sets of n rows of width d have about ``d / (n + d)``, not 0; see `cka_unbiased`.

    Raises:
        NotMeasurable: If there are fewer than two rows, or rows that do not vary.
    """
    moments.spread()
    shared, before, after = (float((m * m).sum()) for m in (moments.cross, moments.before, moments.after))
    return min(1.0, shared / math.sqrt(before * after))


def cka_unbiased(moments: Moments) -> float:
    """Linear CKA from unbiased estimates of the dependence: 0 on average for unrelated rows, and at times below it.

    The estimator is that of Song et al. (JMLR 13, 2012), used for CKA by Nguyen, Raghu and Kornblith (arXiv
    2010.15327), without the kernels: about the mean, sums of their rows are ``-|u|^2``.

    Rows count as independent. Tokens of one prompt are not: where half of the variance lies between prompts, 40
    prompts of 32 tokens and width 64 give 0.28 for unrelated sides, 300 prompts 0.05. Take more prompts, not tokens.

    Raises:
        NotMeasurable: If there are fewer than four rows, rows that do not vary, or none that depends on itself.
    """
    if moments.rows < 4:
        raise NotMeasurable(f"unbiased CKA of {moments.rows} rows: four or more are needed")
    moments.spread()
    before = _dependence(moments, moments.before, 0, 0)
    after = _dependence(moments, moments.after, 1, 1)
    if before <= 0 or after <= 0:
        raise NotMeasurable(f"unbiased CKA of {moments.rows} rows: no structure shows beyond that of chance")
    return _dependence(moments, moments.cross, 0, 1) / math.sqrt(before * after)


def gram_cosine_distance(
    before: Float[Tensor, "rows width"], after: Float[Tensor, "rows width"], site: str = "rows"
) -> float:
    """By how much the cosines between all pairs of rows have changed, as a share of those before: 0 where none has.

    Rows are not centred, as in PEFT-Arena (arXiv 2605.28819). Cost: two matrices of rows by rows; give it a sample.

    Raises:
        ValueError: If the two have different numbers of rows.
        NotMeasurable: If there are no rows, a row is zero and has no direction, or a number is not finite.
    """
    if len(before) != len(after):
        raise ValueError(f"{len(before)} rows and {len(after)} rows make no pairs")
    if not len(before):
        raise NotMeasurable("there are no rows to be compared")
    grams = []
    for rows in (before, after):
        require_finite(rows, site)
        lengths = torch.linalg.vector_norm(rows.double(), dim=1, keepdim=True)
        if not bool((lengths > 0).all()):
            raise NotMeasurable(f"{int((lengths == 0).sum())} of {len(rows)} rows are zero and have no direction")
        unit = rows.double() / lengths
        grams.append(unit @ unit.T)
    return float(torch.linalg.vector_norm(grams[1] - grams[0]) / torch.linalg.vector_norm(grams[0]))


@dataclass(frozen=True, eq=False)
class Principal:
    """Variances and directions of rows, before and after a change: largest first.

    Attributes:
        variances: Sum of squares along each direction; before, then after.
        directions: One direction a column; before, then after.
    """

    variances: Float[Tensor, "2 width"]
    directions: Float[Tensor, "2 width width"]

    @staticmethod
    def of(moments: Moments) -> Principal:
        """By an exact decomposition of both scatters: O(width^3), no sketch."""
        variances, directions = torch.linalg.eigh(torch.stack([moments.before, moments.after]))
        return Principal(variances.flip(-1), directions.flip(-1))

    def distance(self, k: int) -> float:
        """Distance of the two subspaces of the k largest variances: the rms sine of their principal angles, 0 to 1.

        Raises:
            NotMeasurable: If k does not lie between 1 and the width less 1, or there is no such subspace.
        """
        width = self.variances.shape[1]
        if not 1 <= k < width:
            raise NotMeasurable(
                f"subspaces of dimension {k} in rows of width {width}: choose 1 to {width - 1}; "
                "at the full width there is only one"
            )
        for variances, when in zip(self.variances, ("before", "after"), strict=True):
            if not variances[k - 1] - variances[k] > TIED * variances[0]:
                raise NotMeasurable(
                    f"principal subspace of dimension {k}: directions {k} and {k + 1} {when} the change "
                    "carry the same variance; more rows or another dimension may part them"
                )
        before, after = self.directions[:, :, :k]
        return min(1.0, float(torch.linalg.matrix_norm(after - before @ (before.T @ after))) / math.sqrt(k))


@dataclass(frozen=True)
class Similarity:
    """Every measure of similarity at one site: a value, or the reason why there is none.

    Attributes:
        rows: How many rows were compared.
        width: Their width.
        few_rows: Whether they are so few for their width that similarity is partly that of chance.
        values: Measures by name; their names say the unit where there is one.
        reasons: Why a measure has no value.
    """

    rows: int
    width: int
    few_rows: bool
    values: Mapping[str, float]
    reasons: Mapping[str, str]


def similarity(moments: Moments, subspaces: Sequence[int] = SUBSPACES) -> Similarity:
    """All measures that follow from moments; at subspaces as wide as the rows there is a reason instead.

    Args:
        moments: The moments of paired rows.
        subspaces: Dimensions of the principal subspaces to be compared.
    """
    values: dict[str, float] = {}
    reasons: dict[str, str] = {}

    def note(names: Sequence[str], measure: Callable[[], Sequence[float]]) -> None:
        try:
            values.update(zip(names, measure(), strict=True))
        except NotMeasurable as reason:
            reasons.update(dict.fromkeys(names, str(reason)))

    drift = moments.drift
    for each in (
        drift.mean_cosine,
        drift.cosine_drift,
        drift.angular_drift_rad,
        drift.median_angular_drift_rad,
        drift.norm_ratio,
        drift.norm_ratio_deviation,
        drift.norm_drift,
    ):
        note([each.__name__], lambda each=each: [each()])  # type: ignore[misc]
    procrustes = {
        "raw_residual": "raw_residual",
        "procrustes_residual": "residual",
        "procrustes_improvement": "improvement",
        "scaled_procrustes_residual": "scaled_residual",
        "scaled_procrustes_improvement": "scaled_improvement",
        "best_scale": "best_scale",
        "shape_distance": "shape_distance",
    }
    note(list(procrustes), lambda: [getattr(found, name) for found in [align(moments)] for name in procrustes.values()])
    note(["cka_biased"], lambda: [cka_biased(moments)])
    note(["cka_unbiased"], lambda: [cka_unbiased(moments)])
    if subspaces:
        # Two decompositions, a third of the time.
        principal = Principal.of(moments)
        for k in subspaces:
            note([f"subspace_distance_k{k}"], lambda k=k: [principal.distance(k)])  # type: ignore[misc]
    return Similarity(moments.rows, moments.width, moments.few_rows, values, reasons)


def _dependence(moments: Moments, shared: Float[Tensor, "width width"], a: int, b: int) -> float:
    """``n (n - 3)`` times the unbiased HSIC of the two kernels, their diagonals left out."""
    n, sizes = moments.rows, (float(moments.before.trace()), float(moments.after.trace()))
    fourth = float(moments.fourth[a, b])
    overlap = float((shared * shared).sum()) - fourth
    return overlap + sizes[a] * sizes[b] / ((n - 1) * (n - 2)) - 2 * fourth / (n - 2)
