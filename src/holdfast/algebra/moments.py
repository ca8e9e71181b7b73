"""All that similarity needs to know of two paired sets of rows, without keeping the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from holdfast.algebra.row_drift import RowDrift
from holdfast.core.errors import NotMeasurable

CHUNK_ROWS = 4096
"""Rows that are in memory in float64 at a time."""

ROWS_PER_WIDTH = 10
"""With fewer rows than this times their width, overlaps are partly those of chance."""

CONSTANT = 1e-28
"""A variance below this share of the squared mean is the rounding of rows that are all the same."""

SUMS = ("before", "after", "cross", "gap", "third", "fourth")
"""What is added when Moments about one mean are pooled."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over paired rows, about their means: of rows before a change and the same rows after it.

    Everything is in float64 and about the mean, so that rows far from the origin lose no digits; two Moments are
    added by moving both to their common mean (Chan, Golub and LeVeque 1983, taken to the fourth order, which the
    unbiased CKA needs). Size: 3 width^2 numbers and 2 a row.

    Attributes:
        rows: How many pairs of rows.
        mean: Mean row before and after.
        before: Scatter of the rows before: sum of u u^T, u a row less the mean.
        after: The same after.
        cross: Sum of u v^T, u before and v after.
        gap: Sum of |v - u|^2.
        third: At [a, b] the sum of |u_a|^2 u_b, where 0 is before and 1 is after.
        fourth: At [a, b] the sum of |u_a|^2 |u_b|^2.
        drift: How far each row has turned and stretched, about the origin.
    """

    rows: int
    mean: Float[Tensor, "2 width"]
    before: Float[Tensor, "width width"]
    after: Float[Tensor, "width width"]
    cross: Float[Tensor, "width width"]
    gap: Float[Tensor, ""]
    third: Float[Tensor, "2 2 width"]
    fourth: Float[Tensor, "2 2"]
    drift: RowDrift

    @staticmethod
    def of(before: Float[Tensor, "rows width"], after: Float[Tensor, "rows width"], site: str = "rows") -> Moments:
        """The moments of paired rows.

        Args:
            before: Rows before the change, in any precision.
            after: The same rows after it.
            site: Where the rows come from, for the message if one is not finite.

        Raises:
            ValueError: If the two do not have the same shape.
            NotMeasurable: If a number is infinite or none.
        """
        if before.dim() != 2 or before.shape != after.shape:
            raise ValueError(f"rows of shapes {tuple(before.shape)} and {tuple(after.shape)} make no pairs")
        require_finite(before, site)
        require_finite(after, site)
        parts = zip(torch.split(before, CHUNK_ROWS), torch.split(after, CHUNK_ROWS), strict=True)
        return pooled([_of_chunk(one.double(), other.double()) for one, other in parts])

    @property
    def width(self) -> int:
        """Width of a row."""
        return self.mean.shape[1]

    @property
    def few_rows(self) -> bool:
        """Whether there are so few rows for their width that similarity is partly that of chance."""
        return self.rows < ROWS_PER_WIDTH * self.width

    def __add__(self, other: Moments) -> Moments:
        return pooled([self, other])

    def spread(self) -> tuple[float, float]:
        """Sum of squared distances to the mean, before and after.

        Raises:
            NotMeasurable: If there are fewer than two rows, or all rows of one side are the same.
        """
        if self.rows < 2:
            raise NotMeasurable(f"{self.rows} row{'s' * (self.rows != 1)} cannot vary: two or more are needed")
        sizes = (float(self.before.trace()), float(self.after.trace()))
        for size, mean, when in zip(sizes, self.mean, ("before", "after"), strict=True):
            if size <= CONSTANT * self.rows * float(mean @ mean):
                raise NotMeasurable(f"all {self.rows} rows {when} the change are the same: nothing varies")
        return sizes


def pooled(parts: Sequence[Moments], copies: Iterable[int] | None = None) -> Moments:
    """The moments of all rows of several parts together.

    Args:
        parts: Moments of rows of one width.
        copies: How many times each part counts; once where not given. With 0 for one part and 1 for all others this
            is a step of a jackknife. A bootstrap counts some rows twice, and kernels, rotations and subspaces take
            copies for structure: its intervals for them lie beside the value.

    Raises:
        ValueError: If nothing is left, or the parts differ in width.
    """
    counts = [1] * len(parts) if copies is None else list(copies)
    kept = [(part, count) for part, count in zip(parts, counts, strict=True) if count]
    if not kept:
        raise ValueError("there are no moments to be pooled")
    if len(kept) == 1 and kept[0][1] == 1:
        return kept[0][0]
    if len({part.width for part, _ in kept}) > 1:
        raise ValueError(f"moments of widths {sorted({part.width for part, _ in kept})} cannot be pooled")
    rows = sum(count * part.rows for part, count in kept)
    weights = kept[0][0].mean.new_tensor([count * part.rows / max(rows, 1) for part, count in kept])
    mean = torch.einsum("p,psw->sw", weights, torch.stack([part.mean for part, _ in kept]))
    total, *rest = (_moved(part, part.mean - mean, count) for part, count in kept)
    for part in rest:
        for sums in SUMS:
            getattr(total, sums).add_(getattr(part, sums))
    drift = RowDrift.joined([part.drift.repeated(count) for part, count in kept])
    return replace(total, rows=rows, mean=mean, drift=drift)


def all_finite(rows: Float[Tensor, "rows width"]) -> bool:
    """Whether no number is infinite or undefined: by the least and the greatest, which either would spoil."""
    return not rows.numel() or all(bool(end.isfinite()) for end in rows.aminmax())


def require_finite(rows: Float[Tensor, "rows width"], site: str) -> None:
    """Refuse rows that hold an infinity or no number.

    Raises:
        NotMeasurable: If one does; names the site and counts the rows.
    """
    if not all_finite(rows):
        damaged = int((~rows.isfinite().all(dim=1)).sum())
        raise NotMeasurable(
            f"'{site}': {damaged} of {len(rows)} rows are not finite; "
            "run the model in float32 or bfloat16, or look for where it breaks"
        )


def _of_chunk(before: Float[Tensor, "rows width"], after: Float[Tensor, "rows width"]) -> Moments:
    mean = torch.stack([before.sum(0), after.sum(0)]) / max(len(before), 1)
    sides = (before - mean[0], after - mean[1])
    squares = torch.stack([torch.linalg.vector_norm(side, dim=1).square() for side in sides])
    return Moments(
        rows=len(before),
        mean=mean,
        before=sides[0].T @ sides[0],
        after=sides[1].T @ sides[1],
        cross=sides[0].T @ sides[1],
        gap=torch.linalg.vector_norm(sides[1] - sides[0]).square(),
        third=torch.stack([squares @ side for side in sides], dim=1),
        fourth=squares @ squares.T,
        drift=RowDrift.of(before, after),
    )


def _moved(part: Moments, shift: Float[Tensor, "2 width"], copies: int) -> Moments:
    """A part, each of its rows counted ``copies`` times, with its sums about its mean less ``shift``."""
    scatter = ((part.before, part.cross), (part.cross.T, part.after))
    traces, lengths = torch.stack([part.before.trace(), part.after.trace()]), (shift * shift).sum(1)
    third, fourth = part.third.clone(), part.fourth.clone()
    # What products of (u + shift) leave where sums of one u alone are zero.
    for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
        third[a, b] += 2 * scatter[b][a] @ shift[a] + (traces[a] + part.rows * lengths[a]) * shift[b]
        fourth[a, b] += (
            2 * part.third[a, b] @ shift[b]
            + 2 * part.third[b, a] @ shift[a]
            + 4 * shift[a] @ scatter[a][b] @ shift[b]
            + lengths[b] * traces[a]
            + lengths[a] * traces[b]
            + part.rows * lengths[a] * lengths[b]
        )
    return replace(
        part,
        before=copies * torch.addr(part.before, shift[0], shift[0], alpha=part.rows),
        after=copies * torch.addr(part.after, shift[1], shift[1], alpha=part.rows),
        cross=copies * torch.addr(part.cross, shift[0], shift[1], alpha=part.rows),
        gap=copies * (part.gap + part.rows * ((shift[1] - shift[0]) ** 2).sum()),
        third=copies * third,
        fourth=copies * fourth,
    )
