"""Which tokens of a prompt are looked at: as many of each, chosen by what it says and not by where it stands."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.core.errors import BadData
from holdfast.core.keys import key_of

Ids = Sequence[int]


@dataclass(frozen=True)
class TokenChoice:
    """A rule for choosing tokens.

    Long prompts would otherwise outweigh short ones, and the first token of a prompt, on which attention rests and
    whose activations are of another size, all others.

    Attributes:
        tokens: How many of each prompt; all where it is nothing.
        skipped: How many at the beginning of a prompt are never chosen.
        seed: Another seed, another choice.
    """

    tokens: int | None = 32
    skipped: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.skipped < 0 or (self.tokens is not None and self.tokens < 1):
            raise ValueError(f"{self.tokens} tokens after the first {self.skipped} cannot be chosen")

    def key(self, ids: Ids) -> str:
        """The key of a prompt under this seed: equal prompts, equal choice."""
        return key_of({"ids": list(ids), "seed": self.seed})

    def positions(self, ids: Ids) -> tuple[int, ...]:
        """Positions of the chosen tokens in a prompt, in the order of choice: fewer tokens would be its beginning."""
        order = list(range(self.skipped, len(ids)))
        random.Random(self.key(ids)).shuffle(order)
        return tuple(order[: self.tokens])

    def check(self, prompts: Sequence[Ids]) -> None:
        """Refuse prompts of which there are not enough tokens to choose from.

        Raises:
            BadData: If there are such prompts, or no prompt at all; says how many tokens the shortest would give.
        """
        if not prompts:
            raise BadData("there is no prompt to be read; give at least one")
        wanted = 1 if self.tokens is None else self.tokens
        spare = [len(ids) - self.skipped for ids in prompts]
        short = sum(count < wanted for count in spare)
        if short:
            raise BadData(
                f"{short} of {len(prompts)} prompts have fewer than {wanted} tokens after the first {self.skipped} "
                f"(the shortest has {max(0, min(spare))}); choose fewer tokens of each, or leave short prompts out"
            )
