"""The recipe of a measurement of basins: which directions, how far, on how many items, and how sure."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from holdfast.core.certificate import Positive
from holdfast.core.recipe import Dtype, Recipe
from holdfast.core.task import Split

Kind = Literal["random", "worst", "per-layer", "adapter", "tokens", "embeddings"]


class BasinRecipe(Recipe):
    """How far a model is moved, where to, and what it is asked there.

    Attributes:
        model_name_or_path: The base: a folder, a hub id, or ``miniature``.
        dtype: Precision of the base; ``auto`` is bfloat16 on CUDA devices, float32 elsewhere.
        trust_remote_code: Run code that comes with the model.
        allow_pickle: Open weights stored as pickles, which can run code.
        adapter: An adapter folder; the model with it, merged, is what is moved.
        tuned: Adapter or model folders made from the base: each is looked for in the basin of every ability.
        suite: Suites, tasks or data files: the abilities.
        split: Which items are asked.
        items: Most items of an ability.
        directions: ``random`` noise on all weights, ``worst`` for what ascent of a loss finds, ``per-layer`` noise on
            one decoder block at a time, ``adapter`` for noise on the B of LoRA adapters whose A is frozen, ``tokens``
            and ``embeddings`` for prompts that are disturbed. The way to each of ``tuned`` is always walked.
        sigmas: Distances along random directions, standard deviations of the noise on every scalar.
        worst_sigmas: Distances at which a worst case is sought, each anew.
        adapter_sigmas: Distances in the space of adapters, standard deviations of the noise on B.
        shares: Shares of a prompt's tokens that are replaced.
        embedding_sigmas: Noise on the embeddings of a prompt, as shares of the root mean square of all embeddings.
        seeds: How many random directions at every distance; 16 or more for a band that means something.
        tau: How much of a score may be lost, on average, within the basin.
        level: Chance that the interval of a width holds, at least.
        most_directions: After how many directions a distance is left undecided in the search of a width; where nothing
            is lost at all, about 7 / tau of them show it.
        certificates: What is certified: the ``share`` of directions that keep the score, the mean ``score``.
        certificate_level: Confidence of each certificate.
        certificate_directions: Fresh directions behind each certificate; fewer than 44 never certify a share of 0.9
            at 99 %.
        worst_examples: Training examples of an ability whose loss is climbed.
        worst_steps: Steps of each ascent.
    """

    model_name_or_path: str = "miniature"
    dtype: Dtype = "auto"
    trust_remote_code: bool = False
    allow_pickle: bool = False
    adapter: str | None = None
    tuned: tuple[str, ...] = ()
    suite: tuple[str, ...] = ("general",)
    split: Split = "test"
    items: int = Field(default=64, ge=1)
    directions: tuple[Kind, ...] = ("random", "worst")
    sigmas: tuple[Positive, ...] = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1)
    worst_sigmas: tuple[Positive, ...] = (1e-6, 1e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 0.01)
    adapter_sigmas: tuple[Positive, ...] = (1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
    shares: tuple[Positive, ...] = (0.05, 0.1, 0.2, 0.4)
    embedding_sigmas: tuple[Positive, ...] = (0.03, 0.1, 0.3, 1.0)
    seeds: int = Field(default=16, ge=1)
    tau: float = Field(default=0.05, gt=0, lt=1)
    level: float = Field(default=0.95, gt=0, lt=1)
    most_directions: int = Field(default=400, ge=1)
    certificates: tuple[str, ...] = ("share", "score")
    certificate_level: float = Field(default=0.99, gt=0, lt=1)
    certificate_directions: int = Field(default=44, ge=1)
    worst_examples: int = Field(default=32, ge=1)
    worst_steps: int = Field(default=30, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = [f"{name}: one is given twice" for name in _LISTS if _repeats(getattr(self, name))]
        faults += [f"{name}: give at least one" for name in _NEEDED if not getattr(self, name)]
        if any(share > 1 for share in self.shares):
            faults.append(f"shares: no more than all tokens can be replaced, found {max(self.shares)}")
        if "adapter" in self.directions and not (self.adapter or self.tuned):
            faults.append("directions: 'adapter' is noise on the B of an adapter; name one by adapter or tuned")
        if "random" not in self.directions and self.tuned:
            faults.append("tuned: a fine-tune is judged by the width along random directions; add 'random' to them")
        if faults:
            raise ValueError("\n".join(faults))
        return self


_NEEDED = ("suite", "sigmas", "worst_sigmas", "adapter_sigmas", "shares", "embedding_sigmas")
_LISTS = (*_NEEDED, "directions", "tuned", "certificates")


def _repeats(values: tuple[object, ...]) -> bool:
    return len(set(values)) < len(values)
