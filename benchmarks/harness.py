"""Side by side: the same work done in several ways, in turn, again and again, in one process."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version

import torch
from transformers import LlamaConfig, LlamaForCausalLM

REPEATS = 5


@dataclass(frozen=True)
class Timed:
    """How long one way of doing the work took.

    Attributes:
        median_s: Median processor time.
        low_s: Least.
        high_s: Most.
    """

    median_s: float
    low_s: float
    high_s: float


def side_by_side(ways: Mapping[str, Callable[[], object]], repeats: int = REPEATS) -> dict[str, Timed]:
    """Processor time of every way, interleaved so that whatever else the machine does falls on all of them.

    Args:
        ways: The same work, done in several ways; each is run once beforehand to warm up.
        repeats: How often each is timed.
    """
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.process_time()
            way()
            times[name].append(time.process_time() - started)
    return {name: Timed(statistics.median(t), min(t), max(t)) for name, t in times.items()}


def table(title: str, times: Mapping[str, Timed], baseline: str) -> str:
    """The times as Markdown, each as a share of the baseline's and the other way round."""
    base = times[baseline].median_s
    lines = [f"### {title}", "", "| way | cost | times faster | least to most |", "|---|---:|---:|---:|"]
    for name, found in times.items():
        spread = f"{found.low_s / base:.2f} to {found.high_s / base:.2f}"
        lines.append(f"| {name} | {found.median_s / base:.2f} | {base / found.median_s:.2f} | {spread} |")
    return "\n".join(lines) + "\n"


def conditions() -> str:
    """What the numbers were measured on and with."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "trl", "peft"))
    return f"{platform.machine()}, one thread, float32, medians of {REPEATS}, processor time; {versions}"


def llama(vocabulary: int, hidden: int = 256, layers: int = 4) -> LlamaForCausalLM:
    """A Llama with random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=hidden * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config).eval()
