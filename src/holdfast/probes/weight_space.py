"""Where an update acts in the weights: its size, its shape, and what it does to their singular directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from holdfast.algebra.alignment import LEADING, THRESHOLD, alignment, intruder_dimensions, matched_alignment
from holdfast.algebra.angles import principal_angles, subspace_distance
from holdfast.algebra.delta import Delta, Dense, frobenius_norm
from holdfast.algebra.fluctuation import fluctuation, relative_fluctuation
from holdfast.algebra.profiles import Profiles, profiles_of
from holdfast.algebra.rank import entropy_rank, singular_values, stable_rank
from holdfast.algebra.size import relative_size, singular_value_change
from holdfast.algebra.spectrum import Side, Spectrum
from holdfast.algebra.tuned_spectrum import leading_tuned_spectrum, tuned_spectrum
from holdfast.core.diagnosis import Curve
from holdfast.core.errors import NotMeasurable
from holdfast.core.record import Record

SIDES: tuple[Side, ...] = ("left", "right")


@dataclass(frozen=True)
class WeightSpace:
    """Every quantity of one weight and its change.

    Attributes:
        subspaces: Dimensions of the leading subspaces that are compared.
        intruders: How many leading vectors of the tuned weight are looked at for intruders.
        threshold: Cosine below which one of them is an intruder.
        whole_up_to: Weights whose smaller side is at most this are decomposed as a whole after the update; of larger
            ones only the leading directions are followed, and what takes all of them is left undefined.
        turned: Whether singular values and directions after the update are looked at: on large weights nearly all of
            the time goes there.
    """

    subspaces: tuple[int, ...] = (8, 16, 32, 64)
    intruders: int = LEADING
    threshold: float = THRESHOLD
    whole_up_to: int = 1536
    turned: bool = True

    def measure(
        self, subject: str, site: str, weight: Tensor, change: Delta, base: Spectrum
    ) -> Iterator[Record | Curve]:
        """All that can be said of one weight; what is undefined comes with its reason.

        Args:
            subject: Whose change it is.
            site: Name of the weight.
            weight: The weight before the update, outputs by inputs.
            change: The update of it.
            base: Its spectrum.

        Yields:
            Records, and both profiles over the largest singular value of the weight.
        """
        change = change.in_memory()
        yield from self._size(subject, site, change, base)
        yield from self._profiles(subject, site, change, base)
        if self.turned:
            yield from self._turned(subject, site, weight, change, base)

    def _size(self, subject: str, site: str, change: Delta, base: Spectrum) -> Iterator[Record]:
        values = singular_values(change)
        yield noted(subject, "relative_size_frobenius", site, lambda: relative_size(values, base).frobenius)
        yield noted(subject, "relative_size_spectral", site, lambda: relative_size(values, base).spectral)
        yield noted(subject, "stable_rank", site, lambda: stable_rank(values))
        yield noted(subject, "entropy_rank", site, lambda: entropy_rank(values))

    def _profiles(self, subject: str, site: str, change: Delta, base: Spectrum) -> Iterator[Record | Curve]:
        profiles: Profiles = profiles_of(change, base)
        for name, curve in (("retention", profiles.retention), ("adaptation", profiles.adaptation)):
            yield noted(subject, f"fluctuation_{name}", site, partial(fluctuation, curve))
            yield noted(subject, f"relative_fluctuation_{name}", site, partial(relative_fluctuation, curve))
            if float(base.values[0]) > 0:
                yield Curve(
                    subject=subject, quantity=name, site=site, values=tuple((curve.double() / base.values[0]).tolist())
                )
        yield noted(subject, "energy_seen_frac", site, profiles.energy_seen_frac)
        yield noted(subject, "diagonal_frac", site, profiles.diagonal_frac)

    def _turned(self, subject: str, site: str, weight: Tensor, change: Delta, base: Spectrum) -> Iterator[Record]:
        whole = min(weight.shape) <= self.whole_up_to
        leading = min(max((*self.subspaces, self.intruders)), min(weight.shape))
        try:
            after = (
                tuned_spectrum(weight, change, base) if whole else leading_tuned_spectrum(weight, change, base, leading)
            )
        except NotMeasurable as reason:
            for name in self._turning():
                yield Record(subject=subject, quantity=name, site=site, reason=str(reason))
            return
        moved = ("singular_value_change", "singular_value_peak")
        try:
            change_of_values = singular_value_change(base, after)
            for name, value in zip(moved, (change_of_values.relative, change_of_values.peak), strict=True):
                yield Record(subject=subject, quantity=name, site=site, value=value)
        except NotMeasurable as reason:
            for name in moved:
                yield Record(subject=subject, quantity=name, site=site, reason=str(reason))
        kept = alignment(base, after)
        yield Record(subject=subject, quantity="alignment_mean", site=site, value=float(kept.mean()))
        yield Record(subject=subject, quantity="alignment_min", site=site, value=float(kept.min()))
        before = base if whole else base.top(len(after.values))
        partners = matched_alignment(before, after)
        yield Record(subject=subject, quantity="matched_alignment_mean", site=site, value=float(partners.mean()))
        for side in SIDES:
            found = partial(intruder_dimensions, base, after, self.intruders, self.threshold, side)
            yield noted(subject, f"intruders/{side}", site, found)
            for count in self.subspaces:
                yield from _angles(subject, site, base, after, count, side)

    def _turning(self) -> Iterator[str]:
        """Everything that takes the singular directions after the update."""
        yield from ("singular_value_change", "singular_value_peak")
        yield from ("alignment_mean", "alignment_min", "matched_alignment_mean")
        for side in SIDES:
            yield f"intruders/{side}"
            for count in self.subspaces:
                yield from _angle_names(count, side)


def random_change(change: Delta, seed: int) -> Dense:
    """A Gaussian change of the same shape and Frobenius norm: what an update that prefers no direction would do."""
    noise = torch.randn(change.shape, generator=torch.Generator().manual_seed(seed))
    return Dense(noise * (change.norm() / frobenius_norm(noise)))


def noted(subject: str, quantity: str, site: str, measure: Callable[[], float], unit: str = "") -> Record:
    """A record of what a measurement gives, or of the reason why it gives nothing."""
    try:
        return Record(subject=subject, quantity=quantity, site=site, value=measure(), unit=unit)
    except NotMeasurable as reason:
        return Record(subject=subject, quantity=quantity, site=site, reason=str(reason))


def _angle_names(count: int, side: Side) -> tuple[str, str]:
    return f"largest_angle_rad/{side}/{count}", f"subspace_distance/{side}/{count}"


def _angles(subject: str, site: str, base: Spectrum, after: Spectrum, count: int, side: Side) -> Sequence[Record]:
    names = _angle_names(count, side)
    try:
        angles = principal_angles(base, after, count, side)
    except NotMeasurable as reason:
        return [Record(subject=subject, quantity=name, site=site, reason=str(reason)) for name in names]
    values = (float(angles[-1]), subspace_distance(angles))
    units = ("rad", "")
    return [
        Record(subject=subject, quantity=name, site=site, value=value, unit=unit)
        for name, value, unit in zip(names, values, units, strict=True)
    ]
