"""What has been found so far, to be made a document."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from holdfast.core.basin import BasinCurve, BasinMeasurement, BasinVerdict, BasinWidth, InputCurve
from holdfast.core.certificate import Certificate
from holdfast.models.base import Base
from holdfast.models.identity import identity_of


@dataclass
class Findings:
    """A measurement in the making.

    Attributes:
        base: The base, as it was opened.
        space: Where the noise of the first way lay, and so what the distances of widths mean.
        coordinates: How many scalars it moves.
    """

    base: Base
    space: str = ""
    coordinates: int = 0
    curves: list[BasinCurve] = field(default_factory=list)
    widths: list[BasinWidth] = field(default_factory=list)
    certificates: list[Certificate] = field(default_factory=list)
    verdicts: list[BasinVerdict] = field(default_factory=list)
    inputs: list[InputCurve] = field(default_factory=list)
    lost_frac: list[tuple[float, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._started = time.perf_counter()
        self._hash = identity_of(self.base.model)

    def is_in(self, space: str, coordinates: int) -> None:
        """Remember the space of the first way."""
        if not self.space:
            self.space, self.coordinates = space, coordinates

    def note(self, sentences: Iterable[str]) -> None:
        """Add what must be known, each once."""
        self.notes += [sentence for sentence in dict.fromkeys(sentences) if sentence not in self.notes]

    def written(self, tolerance: float, recipe: dict[str, Any]) -> BasinMeasurement:
        """The document, once the weights are found to be what they were.

        Args:
            tolerance: Mean drop within a basin.
            recipe: Every option, written out.

        Raises:
            ValueError: If the weights are not what they were.
        """
        model = self.base.model
        return BasinMeasurement(
            base=self.base.name,
            base_identity=self.base.identity,
            space=self.space or "no weights",
            coordinates=self.coordinates or model.num_parameters(),
            tolerance=tolerance,
            lost_frac=tuple(self.lost_frac),
            hash_before=self._hash,
            hash_after=identity_of(model),
            curves=tuple(self.curves),
            widths=tuple(self.widths),
            certificates=tuple(self.certificates),
            verdicts=tuple(self.verdicts),
            inputs=tuple(self.inputs),
            notes=tuple(self.notes),
            environment={
                **{name: version(name) for name in ("holdfast", "torch", "transformers", "peft")},
                "dtype": str(model.dtype).removeprefix("torch."),
                "device": str(model.device),
                "seconds": f"{time.perf_counter() - self._started:.1f}",
            },
            recipe=recipe,
        )
