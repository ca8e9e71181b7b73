"""Control of EPI: scalars that are drawn at random are held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from holdfast.algebra.ranks import start_of
from holdfast.algebra.uniform import Uniform
from holdfast.methods.epi import Epi
from holdfast.methods.isolation.choosing import ByImportance, Choice
from holdfast.methods.isolation.importance import Importance, Lazily
from holdfast.methods.isolation.options import wrong_seed
from holdfast.methods.isolation.rule import Rule
from holdfast.methods.isolation.scene import Scene
from holdfast.methods.isolation.seeds import Seed

SCORING = ("importance", "calibration", "group", "reference_batches")
"""Options of EPI that say how scalars are scored."""


@dataclass(frozen=True)
class RandomMask(Epi):
    """Hold as many scalars as EPI does and choose anew when it does, but at random.

    What EPI gains over this is owed to its choice; what both gain over plain training is owed to holding anything. A
    choice is a function of seed, step and position alone. With an infinite interval it is random and static. Options of
    EPI's scores play no part; ``beta`` does in the default of ``first_refresh``, as in EPI.

    Attributes:
        seed: Of the choices; by default that of the training, so that every run of a comparison draws others.
    """

    name: ClassVar[str] = "random_mask"

    seed: int | None = None

    def rule(self, steps: int | None) -> Rule:
        return _AtRandom(self.schedule(steps), _Drawn(self.seed), Choice(self.ratio), self.patience)

    def faults(self) -> tuple[str, ...]:
        return (*super().faults(), *wrong_seed(self), *self._of_no_effect())

    def _of_no_effect(self) -> Iterator[str]:
        for option in SCORING:
            if getattr(self, option) != getattr(Epi(), option):
                yield f"{self.name}: {option} plays no part where scalars are drawn at random; leave it out"


class _AtRandom(ByImportance):
    at_random = True

    def notes(self) -> tuple[str, ...]:
        return ("held scalars are drawn at random: a control",)


class _Drawn(Importance):
    """A random number for every scalar, of its seed, step and position in the whole tensor."""

    def __init__(self, seed: int | None) -> None:
        self._seed = Seed(seed)

    def begin(self, scene: Scene) -> None:
        self._seed.agreed(scene)

    def state(self) -> dict[str, Tensor]:
        return self._seed.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._seed.restore(state)

    def scores(self, scene: Scene) -> Mapping[str, Tensor]:
        seed = self._seed.at(scene.step)

        def drawn(name: str) -> Tensor:
            part = scene.part(name)
            starts = {name: start_of(scene.tensors[name])}
            return Uniform({name: tuple(part.shape)}, seed, starts, part.device)[name]

        return Lazily(scene.tensors, drawn)
