"""Updates made up layer by layer, later layers stronger: an orthogonal adapter, a low-rank update, a base."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from twins import normal, skewed

from holdfast.algebra.delta import Dense
from holdfast.algebra.low_rank import LowRank
from holdfast.core.diagnosis import UPDATE, Diagnosis
from holdfast.core.record import Record
from holdfast.weights.update import Update

EXACT: dict[str, Any] = {"peft_type": "OFT", "use_cayley_neumann": False, "num_cayley_neumann_terms": 5}
SERIES: dict[str, Any] = EXACT | {"use_cayley_neumann": True}


def upper(generator: Tensor) -> Tensor:
    rows, columns = torch.triu_indices(generator.shape[-1], generator.shape[-1], 1)
    return generator[:, rows, columns]


def adapter(layers: int = 6, scale: float = 0.02) -> dict[str, Tensor]:
    """Two modules a layer, of other widths; later layers are turned more."""
    return {
        f"base_model.model.layers.{layer}.{module}.oft_R.weight": upper(
            skewed(blocks, 4, scale * (layer + 1), seed=10 * layer + blocks)
        )
        for layer in range(layers)
        for module, blocks in (("up", 2), ("down", 3))
    }


def base(layers: int = 6) -> dict[str, Tensor]:
    sizes = (("up", 8), ("down", 12))
    modules = [(f"layers.{layer}.{name}.weight", inputs) for layer in range(layers) for name, inputs in sizes]
    return {name: normal(5, inputs, seed=number) for number, (name, inputs) in enumerate(modules)} | {
        "head.weight": normal(4, 5, seed=77)
    }


def update(layers: int = 6) -> Update:
    """Low rank within the layers, dense without."""
    return Update(
        {
            name: LowRank(0.1 * (seed + 1) * normal(5, 2, seed=seed), normal(2, weight.shape[1], seed=seed + 50))
            for seed, (name, weight) in enumerate(base(layers).items())
            if name != "head.weight"
        }
        | {"head.weight": Dense(normal(4, 5))}
    )


def lengths(some: Update) -> dict[str, float]:
    return {name: change.norm() for name, change in some.items()}


def drifting(energies: dict[str, float | str], role: str = "general") -> Diagnosis:
    """A diagnosis that holds nothing but relative drift; a text is the reason why there is none."""
    given = {site: ("reason" if isinstance(found, str) else "value", found) for site, found in energies.items()}
    return Diagnosis(
        base="base",
        tuned="tuned",
        form="lora adapter",
        moved_params=1,
        base_params=2,
        sites=(),
        records=tuple(
            Record(subject=UPDATE, quantity=f"drift_relative/{role}", site=site, **{kind: found})
            for site, (kind, found) in given.items()
        ),
    )
