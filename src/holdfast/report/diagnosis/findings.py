"""The records of a diagnosis by what they say and where: what verdict, page and figures ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from holdfast.core.diagnosis import CONTROL, MISMATCHED, UPDATE, Curve, Diagnosis, Site
from holdfast.core.record import Record

ROLES = ("general", "target")
WHOLE = ""
"""The site of what is said of the update as a whole."""


@dataclass(frozen=True)
class Findings:
    """A diagnosis that answers questions; what was not measured is answered with nothing.

    Attributes:
        diagnosis: What was found.
    """

    diagnosis: Diagnosis

    @cached_property
    def _records(self) -> Mapping[tuple[str, str, str], Record]:
        return {(record.subject, record.quantity, record.site): record for record in self.diagnosis.records}

    @cached_property
    def _quantities(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for record in self.diagnosis.records:
            if record.subject == UPDATE and record.site != WHOLE:
                found.setdefault(record.quantity, set()).add(record.site)
        return {quantity: frozenset(sites) for quantity, sites in found.items()}

    @cached_property
    def curves(self) -> Mapping[tuple[str, str, str], Curve]:
        """Profiles by site, subject and quantity."""
        return {(curve.site, curve.subject, curve.quantity): curve for curve in self.diagnosis.curves}

    @property
    def sites(self) -> tuple[Site, ...]:
        """All places, in the order of the model."""
        return self.diagnosis.sites

    @property
    def roles(self) -> tuple[str, ...]:
        """The sets of prompts that something was measured on."""
        return tuple(role for role in ROLES if any(prompts.role == role for prompts in self.diagnosis.prompts))

    @property
    def zero(self) -> bool:
        """Whether the update changes nothing at all."""
        sizes = [*self.values("relative_size_frobenius").values(), self.value("relative_size_frobenius", WHOLE)]
        known = [size for size in sizes if size is not None]
        return bool(known) and not any(known)

    def record(self, quantity: str, site: str, subject: str = UPDATE) -> Record | None:
        """The record, if there is one."""
        return self._records.get((subject, quantity, site))

    def value(self, quantity: str, site: str, subject: str = UPDATE) -> float | None:
        """The number, if there is one."""
        record = self.record(quantity, site, subject)
        return None if record is None else record.value

    def values(self, quantity: str, subject: str = UPDATE) -> dict[str, float]:
        """Site -> number, wherever there is one, in the order of the model."""
        found = ((site.name, self.value(quantity, site.name, subject)) for site in self.sites)
        return {site: value for site, value in found if value is not None}

    def middle(self, quantity: str, subject: str = UPDATE) -> float | None:
        """The median over all sites that have a number."""
        values = self.values(quantity, subject)
        return median(values.values()) if values else None

    def asked(self, quantity: str) -> bool:
        """Whether the quantity was looked for anywhere, found or not."""
        return quantity in self._quantities

    def sites_of(self, quantity: str) -> list[Site]:
        """Where the quantity was looked for, in the order of the model."""
        there = self._quantities.get(quantity, frozenset())
        return [site for site in self.sites if site.name in there]

    def missing(self, quantity: str) -> dict[str, str]:
        """Site -> reason, wherever there is no number."""
        found = ((site.name, self.record(quantity, site.name)) for site in self.sites)
        return {site: record.reason for site, record in found if record is not None and record.reason is not None}

    def null_of(self, quantity: str, site: str) -> float | None:
        """What means nothing: the number of a random update of the same size, or of tokens that have no relation."""
        found = self.value(quantity, site, CONTROL)
        return self.value(quantity, site, MISMATCHED) if found is None else found
