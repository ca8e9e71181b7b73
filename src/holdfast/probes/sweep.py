"""One pass over prompts that takes down what chosen modules read or say, and goes no deeper than the last of them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PretrainedConfig

from holdfast.algebra.delta import exact
from holdfast.algebra.moments import all_finite
from holdfast.core.batches import buckets
from holdfast.core.errors import BadData, NotMeasurable
from holdfast.probes.sites import modules_at
from holdfast.probes.tokens import Ids, TokenChoice
from holdfast.weights.evaluating import evaluating

Side = Literal["outputs", "inputs"]


@dataclass(frozen=True, eq=False)
class Taken:
    """What was taken down on the chosen tokens of one prompt.

    Attributes:
        prompt: Where the prompt stands among those given.
        key: Key of its content.
        positions: The chosen positions.
        rows: One row for each of them, at every site, in float32 or float64. Sites that read one and the same tensor
            share one.
    """

    prompt: int
    key: str
    positions: tuple[int, ...]
    rows: Mapping[str, Float[Tensor, "tokens width"]]


def sweep(
    model: nn.Module,
    prompts: Sequence[Ids],
    sites: Sequence[str],
    *,
    side: Side = "outputs",
    choice: TokenChoice | None = None,
    max_rows: int = 8,
    max_tokens: int = 16_384,
    tick: Callable[[int], None] = lambda prompts: None,
) -> Iterator[Taken]:
    """Read every prompt once and yield what the modules at the chosen sites said, or read, on its chosen tokens.

    Prompts come longest first, so that the first batch shows whether memory suffices. Nothing depends on which
    prompts share a batch, nor on their order, but for the rounding of the model itself. To compare two models that
    are in memory together, sweep both side by side; where one is made of the other, keep what the first sweep yields
    (a list) and sweep again. A module that runs several times in a pass is read the first time.

    Args:
        model: The model. Between batches it has no hooks, and is in the mode in which it came.
        prompts: Token ids of each prompt, without padding.
        sites: Names of modules, as in the base.
        side: Whether to take down what they say, or the first thing that they read.
        choice: Which tokens of a prompt are taken down; 32 after the first where not given.
        max_rows: Most prompts in a batch.
        max_tokens: Most tokens in a batch, padding included; a single longer prompt is a batch of its own.
        tick: Told how many prompts were read.

    Returns:
        One `Taken` a prompt. Batches are run as they are asked for.

    Raises:
        BadData: If a prompt has too few tokens to choose from, or more than the model reads.
        UnknownName: If the model has no such module.
        NotMeasurable: If no site is given; later, if a module does not run or does not give a row a token, or a
            number is not finite.
    """
    choice = choice or TokenChoice()
    choice.check(prompts)
    _check_length(model, prompts)
    modules = modules_at(model, sites)
    return _swept(model, prompts, modules, side, choice, (max_rows, max_tokens), tick)


def _check_length(model: Any, prompts: Sequence[Ids]) -> None:
    """Refuse prompts that run past the last position: some models break there, others say what means nothing."""
    config = getattr(model, "config", None)
    if not isinstance(config, PretrainedConfig):
        return
    limit: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    virtual: int = getattr(getattr(model, "active_peft_config", None), "num_virtual_tokens", 0)
    long = [len(ids) for ids in prompts if limit is not None and len(ids) > limit - virtual]
    if limit is not None and long:
        after = f" after its {virtual} virtual ones" if virtual else ""
        raise BadData(
            f"{len(long)} of {len(prompts)} prompts have more than the {limit - virtual} tokens that the model "
            f"reads{after} (the longest has {max(long)}); cut them into pieces, or leave them out"
        )


def _swept(
    model: nn.Module,
    prompts: Sequence[Ids],
    modules: Mapping[str, nn.Module],
    side: Side,
    choice: TokenChoice,
    most: tuple[int, int],
    tick: Callable[[int], None],
) -> Iterator[Taken]:
    for batch in buckets([len(ids) for ids in prompts], max_rows=most[0], max_tokens=most[1]):
        chosen = [choice.positions(prompts[index]) for index in batch]
        taken = _pass(model, [prompts[index] for index in batch], chosen, modules, side)
        for site, rows in taken.items():
            _check_finite(site, rows, batch, chosen)
        counts = [len(positions) for positions in chosen]
        parts = {id(rows): torch.split(rows, counts) for rows in taken.values()}
        for at, (index, positions) in enumerate(zip(batch, chosen, strict=True)):
            own = {site: parts[id(rows)][at] for site, rows in taken.items()}
            yield Taken(index, choice.key(prompts[index]), positions, own)
        tick(len(batch))


class _Enough(BaseException):
    """Every site has been seen: the rest of the pass is not needed. No handler of errors on the way may stop it."""


def _pass(
    model: nn.Module,
    prompts: Sequence[Ids],
    chosen: Sequence[Sequence[int]],
    modules: Mapping[str, nn.Module],
    side: Side,
) -> dict[str, Tensor]:
    device = next(model.parameters()).device
    width = max(map(len, prompts))
    # Padding stands on the right, where causal attention never looks.
    ids = torch.zeros(len(prompts), width, dtype=torch.long, device=device)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(list(prompt), device=device)
        mask[row, : len(prompt)] = 1
    where = torch.tensor([(row, at) for row, positions in enumerate(chosen) for at in positions]).T
    taking = _Taking(tuple(modules), (len(prompts), width), where)
    hooks = [taking.hook(site, module, side) for site, module in modules.items()]
    try:
        # Not inference mode, even inside one: what a model caches on the way must stay fit for training.
        with torch.inference_mode(mode=False), torch.no_grad(), evaluating(model):
            model(input_ids=ids, attention_mask=mask, use_cache=False)
    except _Enough:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    for site in modules:
        if site not in taking.rows:
            raise NotMeasurable(f"'{site}' took no part in the pass: choose a module that every token goes through")
    return taking.rows


class _Taking:
    """Rows of the chosen tokens at every site, taken down while the pass runs, so that the rest can be let go."""

    def __init__(self, sites: Sequence[str], shape: tuple[int, int], where: Int[Tensor, "2 tokens"]) -> None:
        self.rows: dict[str, Tensor] = {}
        self._sites, self._shape, self._where = sites, shape, where
        self._last: tuple[weakref.ref[Tensor], int, Tensor] | None = None

    def hook(self, site: str, module: nn.Module, side: Side) -> Any:
        """Have a module tell what it says, or what it reads."""
        if side == "outputs":
            return module.register_forward_hook(lambda _, args, value: self._take(site, value))
        return module.register_forward_pre_hook(
            lambda _, args, given: self._take(site, args[0] if args else next(iter(given.values()), None)),
            with_kwargs=True,
        )

    def _take(self, site: str, value: Any) -> None:
        if site not in self.rows:
            value = value[0] if isinstance(value, tuple) else value
            self.rows[site] = self._chosen(site, value)
        if len(self.rows) == len(self._sites):
            raise _Enough

    def _chosen(self, site: str, value: Any) -> Tensor:
        # Queries, keys and values read one tensor: it is taken down once, unless it was written to in between.
        if isinstance(value, Tensor) and self._last is not None:
            source, version, chosen = self._last
            if source() is value and version == value._version:
                return chosen
        batch, width = self._shape
        whole = isinstance(value, Tensor) and value.dim() == 3 and value.is_floating_point()
        if not whole or value.shape[0] != batch or value.shape[1] < width:
            found = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise NotMeasurable(
                f"'{site}' has {found} for {batch} prompts of {width} tokens: choose a module with a row for each token"
            )
        row, at = self._where.to(value.device)
        # Virtual tokens of prompt learning stand before those of the prompt.
        chosen = exact(value[row, at + value.shape[1] - width])
        self._last = weakref.ref(value), value._version, chosen
        return chosen


def _check_finite(site: str, rows: Tensor, batch: Sequence[int], chosen: Sequence[Sequence[int]]) -> None:
    if not all_finite(rows):
        owners = [index for index, positions in zip(batch, chosen, strict=True) for _ in positions]
        damaged = (~rows.isfinite().all(dim=1)).nonzero()[:, 0].tolist()
        raise NotMeasurable(
            f"'{site}' is not finite on prompt {owners[damaged[0]]} ({len(damaged)} of {len(rows)} tokens of its "
            "batch); run the model in float32 or bfloat16, or look for where it breaks"
        )
