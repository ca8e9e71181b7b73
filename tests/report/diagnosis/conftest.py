"""Diagnoses made up without a model, small enough to be followed by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pytest

from holdfast.core.diagnosis import CONTROL, MISMATCHED, UPDATE, Curve, Diagnosis, Prompts, Site
from holdfast.core.record import Record

BuildDiagnosis = Callable[..., Diagnosis]

SEVEN = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)

UPDATES = {
    "relative_size_frobenius": 0.2,
    "relative_size_spectral": 0.3,
    "stable_rank": 2.0,
    "entropy_rank": 6.0,
    "relative_fluctuation_adaptation": 0.3,
    "energy_seen_frac": 0.7,
    "diagonal_frac": 0.04,
    "singular_value_change": 0.04,
    "alignment_mean": 0.8,
    "subspace_distance/right/8": 0.3,
    "intruders/left": 0.0,
    "drift_relative/general": 0.02,
    "drift_relative/target": 0.04,
    "drift_ratio_relative": 0.5,
}
CONTROLS = {
    **UPDATES,
    "stable_rank": 12.0,
    "diagonal_frac": 0.01,
    "singular_value_change": 0.02,
    "subspace_distance/right/8": 0.2,
    "drift_ratio_relative": 1.0,
}
HEARD = {"procrustes_residual": 0.4, "cka_unbiased": 0.8, "gram_cosine_distance": 0.3, "angular_drift_rad": 0.5}
UNRELATED = {"procrustes_residual": 1.2, "cka_unbiased": 0.0, "gram_cosine_distance": 1.1, "angular_drift_rad": 1.4}


@pytest.fixture(scope="session")
def build() -> BuildDiagnosis:
    """Makes a diagnosis; see ``made_diagnosis``."""
    return made_diagnosis


@pytest.fixture(scope="session")
def small() -> Diagnosis:
    """Two modules in three blocks, both sets of prompts, a weight outside of blocks, everything there."""
    return made_diagnosis(("self_attn.q_proj", "mlp.down_proj"), 3, outside=("lm_head",))


def made_diagnosis(
    modules: Sequence[str] = ("mlp.down_proj",),
    blocks: int = 3,
    *,
    roles: Sequence[str] = ("general", "target"),
    outside: Sequence[str] = (),
    values: Mapping[tuple[str, str], float | str] | None = None,
    updates: Mapping[str, float | str] | None = None,
    controls: Mapping[str, float] | None = None,
    without: Iterable[str] = (),
    points: int = 12,
) -> Diagnosis:
    """A diagnosis whose numbers are those of the tables above unless told else.

    Args:
        modules: Names of the modules of a block.
        blocks: How many blocks.
        roles: Sets of prompts.
        outside: Weights outside of blocks.
        values: (quantity, site) -> a number, or a reason, for the update there.
        updates: Quantity -> a number, or a reason, for the update everywhere.
        controls: Quantity -> a number for the random update; an empty table leaves it out altogether.
        without: Quantities that were not looked for.
        points: Points of a profile.
    """
    values, left_out = values or {}, set(without)
    sites = [
        Site(name=f"model.layers.{block}.{module}", block=block, module=module, shape=(64, 96))
        for block in range(blocks)
        for module in modules
    ]
    sites += [Site(name=name, block=None, module=name, shape=(300, 64)) for name in outside]
    found = {**UPDATES, **(updates or {})}
    control = {} if controls == {} else {**CONTROLS, **(controls or {})}
    records = []
    for site in sites:
        for quantity, usual in found.items():
            if quantity not in left_out and _asked(quantity, roles):
                told = values.get((quantity, site.name), usual)
                records.append(_record(UPDATE, quantity, site.name, told))
        for quantity, number in control.items():
            if quantity not in left_out and _asked(quantity, roles):
                records.append(_record(CONTROL, quantity, site.name, number))
    records += _heard(sites[: 4 * len(modules)], roles, values, left_out)
    whole = values.get(("relative_size_frobenius", ""), 0.2)
    if "relative_size_frobenius" not in left_out:
        records.append(_record(UPDATE, "relative_size_frobenius", "", whole))
    return Diagnosis(
        base="miniature",
        tuned="/runs/lora",
        form="lora adapter",
        moved_params=1000,
        base_params=600_000,
        sites=tuple(sites),
        prompts=tuple(Prompts(role=role, source=f"{role}.txt", count=40, tokens=320) for role in roles),
        records=tuple(records),
        curves=tuple(_curves(sites, points, control=bool(control))) if "curves" not in left_out else (),
        environment={"holdfast": "0.1.0", "torch": "2.6", "seconds": "1.5"},
    )


def _asked(quantity: str, roles: Sequence[str]) -> bool:
    if quantity.startswith("drift_ratio"):
        return len(roles) == 2
    return not quantity.startswith("drift") or quantity.split("/")[1] in roles


def _record(subject: str, quantity: str, site: str, told: float | str) -> Record:
    if isinstance(told, str):
        return Record(subject=subject, quantity=quantity, site=site, reason=told)
    spread = (0.9 * told, 1.1 * told) if quantity.startswith("drift") or quantity.split("/")[0] in HEARD else None
    return Record(subject=subject, quantity=quantity, site=site, value=told, spread=spread)


def _heard(
    sites: Sequence[Site], roles: Sequence[str], values: Mapping[tuple[str, str], float | str], left_out: set[str]
) -> Iterator[Record]:
    for role in roles:
        for site in sites:
            for name, usual in HEARD.items():
                quantity = f"{name}/{role}"
                if quantity not in left_out:
                    yield _record(UPDATE, quantity, site.name, values.get((quantity, site.name), usual))
                    yield _record(MISMATCHED, quantity, site.name, UNRELATED[name])


def _curves(sites: Sequence[Site], points: int, *, control: bool) -> Iterator[Curve]:
    subjects = {UPDATE: 1.0, CONTROL: 0.5} if control else {UPDATE: 1.0}
    for site in sites:
        for subject, scale in subjects.items():
            for quantity, share in (("retention", 0.1), ("adaptation", 1.0)):
                numbers = tuple(scale * share * (0.1 + 0.01 * (i % 5)) for i in range(points))
                yield Curve(subject=subject, quantity=quantity, site=site.name, values=numbers)


@pytest.fixture(scope="session")
def everything() -> set[str]:
    """All that can be left out."""
    return {*UPDATES, *(f"{name}/{role}" for name in HEARD for role in ("general", "target")), "curves"}


@pytest.fixture(scope="session")
def seven() -> tuple[str, ...]:
    """The modules of a block of a usual model."""
    return SEVEN
