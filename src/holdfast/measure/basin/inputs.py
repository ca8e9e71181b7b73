"""Prompts that are disturbed while the weights stay: tokens replaced by others, or noise on their embeddings.

What is certain under noise on embeddings, position by position, is certain of the embeddings: a displacement of every
prompt, each by at most the radius. Of noise on weights nothing follows for other tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Final, Literal, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.algebra.noise import Noise
from holdfast.algebra.uniform import Uniform
from holdfast.core.basin import InputCurve, InputLevel
from holdfast.core.basin_recipe import BasinRecipe
from holdfast.measure.basin.ability import OfTask
from holdfast.measure.basin.asked import CURVE_SEEDS, Notebook
from holdfast.measure.basin.curves import Tick, certified
from holdfast.measure.basin.findings import Findings
from holdfast.metrics.basin.certifying import Noise as CertifiedNoise
from holdfast.metrics.basin.evaluations import Evaluations
from holdfast.metrics.significance import seed_interval

Kind: TypeAlias = Literal["tokens", "embeddings"]

OF_EMBEDDINGS: Final = "embeddings of the prompt, every position"
KINDS: Final[tuple[Kind, ...]] = ("tokens", "embeddings")
NOT_INSIDE: Final = (
    "No certificate of '{}' for noise on embeddings: at no amount that was asked does it stay within what may be lost"
)
COVERS: Final = (
    "A certificate for noise on embeddings covers prompts of the same number of tokens, each moved by at most its "
    "radius; the displacement beside it is the median distance between the embeddings of two tokens, as if one was "
    "replaced. Noise on weights certifies nothing about other tokens"
)
_PAIRS: Final = 2000


def disturbed(notebook: Notebook, model: PreTrainedModel, ability: OfTask, kind: Kind) -> Evaluations:
    """Scores of an ability while its prompts are disturbed, one prompt at a time.

    A distance is a share of the tokens, or the standard deviation of the noise on every coordinate of an embedding; a
    seed is a draw for all prompts, each with numbers of its own.
    """

    def ask(live: PreTrainedModel, amount: float, seed: int, items: Sequence[int]) -> list[float]:
        found = list[float]()
        for item in items:
            with _on_prompt(live, ability, kind, amount, seed, item):
                found += ability.ask(live, [item], rows=1)
        return found

    return notebook.evaluations(ability, f"{kind} of prompts", "prompts", lambda amount, seed: model, ask)


def input_curve(ability: OfTask, kind: Kind, scores: Evaluations, amounts: Sequence[float], seeds: int) -> InputCurve:
    """The score of an ability at every amount, over several draws."""
    levels = []
    for amount in sorted(amounts):
        means = [float(scores.scores(amount, CURVE_SEEDS + seed).mean()) for seed in range(seeds)]
        spread = tuple(seed_interval(np.array(means))) if seeds > 1 else None
        levels.append(InputLevel(amount=amount, scores=tuple(means), mean=float(np.mean(means)), spread=spread))
    return InputCurve(
        ability=ability.name,
        kind=kind,
        base=float(scores.base().mean()),
        chance=ability.chance,
        items=ability.items,
        levels=tuple(levels),
    )


def rms_of_embeddings(model: PreTrainedModel) -> float:
    """Root mean square of all coordinates of the table of embeddings."""
    return float(_table(model).float().square().mean().sqrt())


def typical_substitution(model: PreTrainedModel) -> float:
    """Median distance between the embeddings of two tokens drawn at random: what replacing one token moves."""
    table = _table(model)
    rows = np.random.default_rng(0).integers(len(table), size=(2, _PAIRS))
    one, other = (table[torch.from_numpy(side).to(table.device)].float() for side in rows[:, rows[0] != rows[1]])
    return float((one - other).norm(dim=1).median())


def robustness(
    model: PreTrainedModel,
    abilities: Sequence[OfTask],
    recipe: BasinRecipe,
    notebook: Notebook,
    findings: Findings,
    tick: Tick = lambda what: None,
) -> None:
    """Input robustness of every ability, of the kinds that a recipe asks for; a certificate for noise on embeddings.

    Args:
        model: The model, as it is.
        abilities: What is asked.
        recipe: Which kinds, which amounts, how many draws.
        notebook: Where scores are kept.
        findings: Where curves and certificates go.
        tick: For progress.
    """
    kinds = [kind for kind in KINDS if kind in recipe.directions]
    for kind in kinds:
        amounts = recipe.shares if kind == "tokens" else _noises(model, recipe)
        for ability in abilities:
            tick(f"{kind} of prompts: {ability.name}")
            scores = disturbed(notebook, model, ability, kind)
            found = input_curve(ability, kind, scores, amounts, recipe.seeds)
            findings.inputs.append(found)
            if kind == "embeddings":
                _certify(model, ability, scores, found, recipe, findings)


def _noises(model: PreTrainedModel, recipe: BasinRecipe) -> tuple[float, ...]:
    """Standard deviations of the noise on embeddings that a recipe asks for."""
    rms = rms_of_embeddings(model)
    return tuple(rms * share for share in recipe.embedding_sigmas)


def _certify(
    model: PreTrainedModel,
    ability: OfTask,
    scores: Evaluations,
    found: InputCurve,
    recipe: BasinRecipe,
    findings: Findings,
) -> None:
    """Certify the mean score at the largest amount up to which it stays within the tolerance.

    Noise is drawn for every item by itself, and Phi(Phi^-1(p) - r) is convex in p: so if each prompt moves by at most
    r sigmas, the mean over items keeps at least what the bound says of the mean.
    """
    inside = list(takewhile(lambda level: found.base - level.mean <= recipe.tau, found.levels))
    if not inside or found.base - ability.chance <= recipe.tau:
        findings.note([NOT_INSIDE.format(ability.name)])
        return
    noise = CertifiedNoise(inside[-1].amount, OF_EMBEDDINGS)
    moved = typical_substitution(model) / noise.sigma
    made = certified(ability, scores, noise, recipe, moved, forms=("score",))
    findings.certificates += made
    if made:
        findings.note([COVERS])


@contextmanager
def _on_prompt(
    model: PreTrainedModel, ability: OfTask, kind: Kind, amount: float, seed: int, item: int
) -> Iterator[None]:
    """The next prompt that is embedded is disturbed; what is said to it is not."""
    embeddings = cast(nn.Module, model.get_input_embeddings())
    name, waiting = ability.examples[item].id, [True]
    special = ability.tokenizer.all_special_ids

    def noisy(module: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> Tensor:
        if not waiting:
            return found
        waiting.clear()
        noise = Noise(tuple(found.shape), seed, f"embeddings {name}", scale=amount, device=found.device)
        return (found.float() + noise.dense()).to(found.dtype)

    def replaced(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not waiting:
            return given
        waiting.clear()
        return (_substituted(given[0], seed, name, amount, len(_table(model)), special), *given[1:])

    if not amount:
        yield
        return
    hook = (
        embeddings.register_forward_hook(noisy)
        if kind == "embeddings"
        else embeddings.register_forward_pre_hook(replaced)
    )
    try:
        yield
    finally:
        hook.remove()


def _substituted(tokens: Tensor, seed: int, name: str, share: float, vocabulary: int, special: Sequence[int]) -> Tensor:
    """Tokens of which a share, in expectation, is drawn anew; special ones stay, and a larger share holds a smaller."""
    shapes = {f"{part} {name}": tuple(tokens.shape) for part in ("whether", "which")}
    whether, which = Uniform(shapes, seed, {}, tokens.device).values()
    kept = torch.tensor(special, dtype=torch.long, device=tokens.device)
    every = torch.arange(vocabulary, device=tokens.device)
    others = every[~torch.isin(every, kept)]
    new = others[(which * len(others)).long()]
    return torch.where((whether < share) & ~torch.isin(tokens, kept), new, tokens)


def _table(model: PreTrainedModel) -> Tensor:
    table: Tensor = cast(nn.Embedding, model.get_input_embeddings()).weight.detach()
    return table
