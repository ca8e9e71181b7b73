"""SSU, source-shielded updates: input columns that matter most to what the model already knows are held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from holdfast.algebra.bits import Bits
from holdfast.algebra.mask import Mask
from holdfast.core.errors import HoldfastError, NotMeasurable
from holdfast.methods.isolation.method import Isolating, wrong_share
from holdfast.methods.isolation.rule import Rule, Schedule
from holdfast.methods.isolation.scene import Scene
from holdfast.methods.listening import Linear, Text, largest, linear_maps, readers
from holdfast.weights.evaluating import evaluating
from holdfast.weights.material import Batch


@dataclass(frozen=True)
class Ssu(Isolating):
    """Hold the input columns of every matrix that source examples use most, chosen once, before the first step.

    Source-Shielded Updates (code at gucci-j/ssu) score column ``j`` of a matrix ``W`` by Wanda's measure, the sum
    over ``i`` of ``|W_ij|`` times the Euclidean norm of input ``j`` over 500 source examples, and set the gradients
    of the top half of the columns to zero. That does not hold them: under AdamW momentum and weight decay go on.

    Ours: updates are masked unless ``acts`` says otherwise; padding is left out; biases, norms, embeddings and head are
    free. Of LoRA, columns of A are chosen by their own scores; B is zero before training, scores nothing and is free.
    Cost: one forward pass over the source examples. Memory: a copy of the held matrices.

    Attributes:
        ratio: Share of the columns of every matrix that is held, in [0, 1); exact, rounded down.
        examples: How many examples of the source are read; all, where there are fewer.
    """

    name: ClassVar[str] = "ssu"

    ratio: float = 0.5
    examples: int = 500

    @property
    def needs_source(self) -> bool:
        """Always: the score is measured on source examples."""
        return True

    def rule(self, steps: int | None) -> Rule:
        return ByInput(self.ratio, self.examples)

    def faults(self) -> tuple[str, ...]:
        return (*super().faults(), *wrong_share(self, "ratio"))


class ByInput(Rule):
    """Before the first step, holds the columns with the highest scores on source examples; they stay held."""

    def __init__(self, ratio: float, examples: int) -> None:
        super().__init__(Schedule())
        self._ratio, self._examples = ratio, examples
        self._read = self._tokens = 0

    def begin(self, scene: Scene) -> None:
        scene.material.known(Ssu.name)

    def choose(self, scene: Scene) -> Mask:
        maps = linear_maps(scene)
        squares = self._squares(scene, maps)
        held = {name: Bits.none(scene.part(name).shape, device=scene.part(name).device) for name in scene.tensors}
        told = False
        for name, each in maps.items():
            sizes = torch.linalg.vector_norm(scene.part(name), ord=1, dim=each.output_dim, dtype=torch.float32)
            scores = each.whole(sizes, each.input_dim, scene.ranks) * squares[name].sqrt()
            if bool((scores != 0).any()):
                told = True
                held[name] = each.units(largest(scores, self._ratio, name), each.input_dim)
        if not told:
            raise NotMeasurable(
                f"no column of the {len(maps)} matrices that ssu could hold has a score on {self._read} source "
                "examples: all of their weights or inputs are zero"
            )
        return Mask(held)

    def notes(self) -> tuple[str, ...]:
        return (
            (f"columns were chosen on {self._read} source examples with {self._tokens} tokens",) if self._read else ()
        )

    def state(self) -> dict[str, Tensor]:
        return {"read": torch.tensor([self._read, self._tokens])}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        self._read, self._tokens = map(int, state["read"].tolist())

    @torch.no_grad()
    def _squares(self, scene: Scene, maps: Mapping[str, Linear]) -> dict[str, Tensor]:
        """Sum of squares of every input of every matrix over the tokens of source examples."""
        if not maps:
            raise HoldfastError(
                f"ssu holds columns of linear maps, and none of the {len(scene.tensors)} tensors that could be held, "
                f"such as '{next(iter(scene.tensors))}', belongs to one: put it on full, or on lora"
            )
        sums = {
            name: torch.zeros(each.tensor.shape[each.input_dim], device=scene.part(name).device)
            for name, each in maps.items()
        }
        text = Text()
        handles = [text.follow(scene.model)]
        handles += [each.module.register_forward_pre_hook(_reader(sums[name], text)) for name, each in maps.items()]
        try:
            device = next(iter(sums.values())).device
            with evaluating(scene.model):
                for batch in self._batches(scene):
                    self._read += len(batch["input_ids"])
                    self._tokens += int(batch["attention_mask"].sum())
                    given = {key: value.to(device) for key, value in batch.items() if key != "labels"}
                    scene.model(**given)
        finally:
            for handle in handles:
                handle.remove()
        everybody = readers(scene)
        return {name: everybody.sum(total) for name, total in sums.items()}

    def _batches(self, scene: Scene) -> Iterator[Batch]:
        left = self._examples
        for batch in scene.material.source:
            yield {key: value[:left] for key, value in batch.items()}
            left -= len(batch["input_ids"])
            if left <= 0:
                return


def _reader(total: Tensor, text: Text) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def read(_: nn.Module, args: tuple[Any, ...]) -> None:
        total.add_(text.rows(args[0]).square().sum(dim=0))

    return read
