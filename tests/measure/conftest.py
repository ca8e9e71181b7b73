"""Small models of several kinds, tokenizers whose tokens are letters, and questions with a common beginning."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
import torch
from planted import PlantedTask
from small import moved, tuner
from tokenizers import Tokenizer, decoders, models, processors
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    MistralConfig,
    MistralForCausalLM,
    MptConfig,
    MptForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen3_5ForCausalLM,
    Qwen3_5TextConfig,
)

from holdfast.core.scores import PointScores, TaskScores
from holdfast.core.task import Example
from holdfast.measure import walking
from holdfast.models.base import Base
from holdfast.testing.laws import small_model
from holdfast.weights.quiet import quiet

SIZES: MappingProxyType[str, Any] = MappingProxyType(
    {
        "vocab_size": 128,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
)
LINEAR = MappingProxyType(
    {
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
    }
)

KINDS: dict[str, Callable[[], PreTrainedModel]] = {
    "rotated positions": small_model,
    "learned positions": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=128, n_positions=64, n_embd=64, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2)
    ),
    "distances of columns": lambda: MptForCausalLM(
        MptConfig(d_model=64, n_heads=4, n_layers=2, vocab_size=128, max_seq_len=64)
    ),
    "a window": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8)),
    "linear attention": lambda: Qwen3_5ForCausalLM(Qwen3_5TextConfig(**SIZES, **LINEAR)),
}
"""Models by what they know of positions."""


def sharp(make: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    """A model of random weights, large enough that it has opinions."""
    with torch.random.fork_rng(), torch.no_grad(), quiet():
        torch.manual_seed(0)
        model = make().eval()
        for tensor in model.parameters():
            if tensor.dim() > 1:
                tensor.mul_(4)
    return model


@pytest.fixture(scope="session", params=KINDS)
def any_model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """A model of every kind; no test may change it."""
    return sharp(KINDS[request.param])


@pytest.fixture
def model() -> PreTrainedModel:
    return sharp(small_model)


LEARNERS = [
    ("rotated positions", tuner("prompt_tuning", num_virtual_tokens=5)),
    ("rotated positions", tuner("prefix_tuning", num_virtual_tokens=5)),
    ("rotated positions", tuner("p_tuning", num_virtual_tokens=5, encoder_hidden_size=16)),
    ("learned positions", tuner("prompt_tuning", num_virtual_tokens=5)),
    ("a window", tuner("prompt_tuning", num_virtual_tokens=5)),
    ("a window", tuner("prefix_tuning", num_virtual_tokens=5)),
]


@pytest.fixture(scope="session", params=LEARNERS, ids=lambda param: f"{param[1].tuner} on {param[0]}")
def prompt_learner(request: pytest.FixtureRequest) -> PreTrainedModel:
    """A model that reads trained virtual tokens before every text; no test may change it."""
    kind, method = request.param
    with quiet():
        return moved(method, sharp(KINDS[kind]), by=0.5).model


Passes = list[tuple[int, int]]


@pytest.fixture
def passes() -> Iterator[Callable[[PreTrainedModel], Passes]]:
    """Rows and columns of every forward pass that a model makes from now on."""
    hooks = []

    def watch(model: PreTrainedModel) -> Passes:
        seen: Passes = []
        hooks.append(
            model.register_forward_pre_hook(
                lambda module, args, given: seen.append(tuple(given["input_ids"].shape)), with_kwargs=True
            )
        )
        return seen

    yield watch
    for hook in hooks:
        hook.remove()


def lettered(*, begins: bool) -> PreTrainedTokenizerBase:
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2}
    for letter in (*map(chr, range(32, 127)), "ab", "abc", *map(chr, range(192, 220))):
        vocabulary[letter] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("a", "b"), ("ab", "c")]))
    tokenizer.decoder = decoders.Fuse()
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token=None
    )


@pytest.fixture(scope="session")
def letters() -> PreTrainedTokenizerBase:
    """One token a letter, but for ``ab`` and ``abc``; texts begin with ``<s>``."""
    return lettered(begins=True)


@pytest.fixture(scope="session")
def bare() -> PreTrainedTokenizerBase:
    """The same without a token at the beginning."""
    return lettered(begins=False)


@pytest.fixture(scope="session", params=[0, 14], ids=["nothing shared", "a shared beginning"])
def questions(request: pytest.FixtureRequest) -> list[Example]:
    """Questions of many lengths, with or without a beginning that all of them share."""
    source = random.Random(5)

    def words(letters: int) -> str:
        return "".join(source.choices("abcdefgh .", k=letters))

    shared = words(request.param)
    return [
        Example(
            f"q{count}", shared + words(3 + 4 * (count % 5)) + f"{count}", words(12), (words(1), words(3), words(7))
        )
        for count in range(7)
    ]


def part(scores: TaskScores, only: Mapping[str, Collection[str]]) -> TaskScores | None:
    """The scores on some of the items, or nothing if there is none of them."""
    if scores.task not in only:
        return scores
    places = [place for place, item in enumerate(scores.ids) if item in only[scores.task]]
    if not places:
        return None
    rows = {name: getattr(scores, name) for name in ("ids", "values", "weights", "kl_nats")}
    return scores.model_copy(update={name: row and tuple(row[place] for place in places) for name, row in rows.items()})


@pytest.fixture
def planted_base(monkeypatch: pytest.MonkeyPatch) -> Base:
    """A base that is never asked anything: planted tasks know what would be said at each point."""

    def told(
        model: Any, tokenizer: Any, tasks: Mapping[str, PlantedTask], *, split: Any, limit: Any, only: Any, **_: Any
    ) -> Any:
        found = []
        for task in tasks.values():
            kept = part(task.scores(model.t, split, limit), only or {})
            if kept is not None:
                task.asked.setdefault(model.t, set()).update(kept.ids)
                found.append(kept)
        return PointScores(split=split, tasks=tuple(found))

    monkeypatch.setattr(walking, "evaluate", told)
    nothing: Any = None
    return Base("planted", SimpleNamespace(t=0.0), nothing, "identity")  # type: ignore[arg-type]
