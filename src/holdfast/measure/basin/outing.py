"""All ways out of one model, one after the other, and what is found on each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.core.basin import BasinCurve, BasinWidth
from holdfast.core.basin_recipe import BasinRecipe
from holdfast.core.certificate import Certificate
from holdfast.core.errors import NotMeasurable
from holdfast.core.keys import key_of
from holdfast.measure.basin.ability import Ability, OfTask
from holdfast.measure.basin.asked import CURVE_SEEDS, Notebook
from holdfast.measure.basin.curves import Tick, certified, curves_along, width_from
from holdfast.measure.basin.findings import Findings
from holdfast.measure.basin.fine_tunes import FineTune, judged
from holdfast.measure.basin.lesson import answering
from holdfast.measure.basin.ways import Walk, Way, layer_ways, random_way, toward_way, worst_way
from holdfast.metrics.basin.certifying import Noise
from holdfast.metrics.basin.evaluations import Evaluations

TOWARD_PARTS: Final = (0.125, 0.25, 0.5, 1.0, 2.0)
"""Where the way to a fine-tune is looked at, as shares of it; beyond 1 it goes on past it."""

WORST: Final = "A worst case is what one ascent on the loss of training examples found, anew at each distance"
NO_EXAMPLES: Final = (
    "No worst case of '{}': it is scored by a function, and has no training examples to climb the loss of"
)
SHARED: Final = (
    "Certificates of one ability under one noise rest on the same directions, and each holds at its own confidence"
)
UNCERTIFIED: Final = "No certificate of '{}' on {}: no distance was found inside its basin, where noise could be put"

Own = Mapping[tuple[str, str], Sequence[float]]
"""What each fine-tune scores itself on each ability."""


@dataclass(frozen=True)
class Outing:
    """What is to be found around one model.

    Attributes:
        abilities: What is asked.
        recipe: How far, where to, and how sure.
        notebook: Where scores are kept.
        findings: Where everything goes that is found.
        tick: For progress.
    """

    abilities: Sequence[Ability]
    recipe: BasinRecipe
    notebook: Notebook
    findings: Findings
    tick: Tick

    @property
    def graded(self) -> list[Ability]:
        """The abilities that have a basin."""
        return [ability for ability in self.abilities if not ability.smooth]

    def random(self, tuned: Sequence[FineTune], own: Own) -> None:
        """Curves, widths and certificates along normal noise on all weights, and where fine-tunes stand in them."""
        way = random_way(self.findings.base.model)
        self.findings.is_in(way.space, way.ray(0.0, CURVE_SEEDS).d)
        with way.walking() as walk:
            found = self._curves(way, walk, self.abilities, self.recipe.sigmas)
            for sigma in sorted(self.recipe.sigmas):
                self.findings.lost_frac.append((sigma, walk.lost_frac(sigma, CURVE_SEEDS)))
            for ability, scores, curve in found:
                width = self._width(ability, scores, curve)
                if width is None:
                    continue
                self.findings.widths.append(width)
                certify = self._certifier(ability, scores, width, way.space)
                self.findings.certificates += certify(None)
                for each in tuned:
                    self.tick(f"{each.name}: {ability.name}")
                    certificate = next(iter(certify(each.norm)), None)
                    at_hand = own[each.name, ability.name]
                    verdict = judged(each, width, scores, at_hand, way.model, self.recipe.seeds, certificate)
                    self.findings.verdicts.append(verdict)

    def worst(self) -> None:
        """Curves along what ascent finds worst for each ability."""
        model = self.findings.base.model
        for ability in self.graded:
            if not isinstance(ability, OfTask):
                self.findings.note([NO_EXAMPLES.format(ability.name)])
                continue
            examples = self.recipe.worst_examples
            try:
                loss = answering(model, ability, examples)
            except NotMeasurable as reason:
                self.findings.note([str(reason)])
                continue
            learned = [(one.prompt, one.answer) for one in ability.task.examples("train", examples)]
            options = {"ability": ability.key, "examples": key_of({"learned": learned})}
            way = worst_way(model, loss, self.recipe.worst_steps, options)
            self.findings.is_in(way.space, random_way(model).ray(0.0, CURVE_SEEDS).d)
            try:
                with way.walking() as walk:
                    self._curves(way, walk, [ability], self.recipe.worst_sigmas)
            except NotMeasurable as reason:
                # Ascent may lead to where the loss is no number; whether the weights are back is seen at the end.
                self.findings.note([f"No worst case of '{ability.name}': {reason}"])
            else:
                self.findings.note([WORST])

    def layers(self) -> None:
        """Curves along noise on one decoder block at a time."""
        for way in layer_ways(self.findings.base.model):
            self.findings.is_in(way.space, way.ray(0.0, CURVE_SEEDS).d)
            with way.walking() as walk:
                self._curves(way, walk, self.graded, self.recipe.sigmas)

    def toward(self, tuned: FineTune) -> None:
        """Curves along the straight way to a fine-tune."""
        way = toward_way(self.findings.base.model, tuned.update, tuned.name, tuned.identity)
        there = way.ray(0.0, CURVE_SEEDS).distance(tuned.norm)
        with way.walking() as walk:
            self._curves(way, walk, self.graded, [there * part for part in TOWARD_PARTS])

    def adapter(self, way: Way, displacement: float | None, name: str) -> None:
        """Curves and certificates along noise on the B of an adapter.

        Args:
            way: The noise.
            displacement: How far a fine-tune is away in the space of B, if one is.
            name: What the adapter is called.
        """
        self.findings.is_in(way.space, way.ray(0.0, CURVE_SEEDS).d)
        with way.walking() as walk:
            for ability, scores, curve in self._curves(way, walk, self.graded, self.recipe.adapter_sigmas):
                width = self._width(ability, scores, curve)
                if width is None:
                    continue
                # Its unit is another one than that of the widths of the weights.
                self.findings.note([f"In the space of the B of {name}, '{ability.name}' has a width of {width.ends}"])
                certify = self._certifier(ability, scores, width, f"{way.space} ({name})")
                self.findings.certificates += certify(displacement)

    def _curves(
        self, way: Way, walk: Walk, abilities: Sequence[Ability], sigmas: Sequence[float]
    ) -> list[tuple[Ability, Evaluations, BasinCurve]]:
        asked = [(ability, self.notebook.along(ability, walk)) for ability in abilities]
        seeds = self.recipe.seeds if way.random else 1
        curves = curves_along(asked, way.direction, sigmas, seeds, self.recipe.tau, self.tick)
        self.findings.curves += curves
        return [(ability, scores, curve) for (ability, scores), curve in zip(asked, curves, strict=True)]

    def _width(self, ability: Ability, scores: Evaluations, curve: BasinCurve) -> BasinWidth | None:
        """The width, or a note that says why there is none; of a smooth ability its curve says that."""
        if ability.smooth:
            return None
        try:
            return width_from(curve, ability, scores, self.recipe, self.tick)
        except NotMeasurable as reason:
            self.findings.note([f"'{ability.name}': {reason}"])
            return None

    def _certifier(
        self, ability: Ability, scores: Evaluations, width: BasinWidth, space: str
    ) -> Callable[[float | None], tuple[Certificate, ...]]:
        """Makes certificates at the largest distance that was found inside, for displacements of a length."""
        if width.low is None:
            if self.recipe.certificates:
                self.findings.note([UNCERTIFIED.format(ability.name, space)])
            return lambda displacement: ()
        noise = Noise(width.low, space)
        if len(self.recipe.certificates) > 1:
            self.findings.note([SHARED])
        self.tick(f"{space}: certificates of {ability.name}")
        return lambda displacement: certified(
            ability, scores, noise, self.recipe, None if displacement is None else displacement / noise.sigma
        )
