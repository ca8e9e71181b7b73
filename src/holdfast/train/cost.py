"""What a method costs: seconds a training step, side by side with the others, and memory."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from holdfast.core.recipe import TrainingOptions
from holdfast.core.task import Example
from holdfast.models.base import Base
from holdfast.train.hooks import add_gradient
from holdfast.weights.contracts import Attachment, Method
from holdfast.weights.material import Material
from holdfast.weights.passes import take_gradient
from holdfast.weights.quiet import quiet

ROUNDS = 3
STEPS = 4
RATE = 1e-3
STATUS = Path("/proc/self/status")


def step_seconds(
    base: Base,
    methods: Mapping[str, Method],
    examples: Sequence[Example],
    options: TrainingOptions,
    tick: Callable[[float], None] = lambda share: None,
) -> dict[str, float]:
    """Seconds of one optimizer step of each method: forward, backward, its own hooks, AdamW, on the same batch.

    The methods take turns, so that whatever else the machine does falls on all of them alike; compare the numbers of
    one call with each other and with nothing else.

    Args:
        base: The base; it is given back unchanged.
        methods: Methods by label.
        examples: Training examples; the first batch is used.
        options: Batch size and length.
        tick: Told the share that is done.

    Returns:
        Median seconds by label.
    """
    batch = _batch(base, examples, options)
    times: dict[str, list[float]] = {label: [] for label in methods}
    for turn in range(ROUNDS):
        for at, (label, method) in enumerate(methods.items()):
            with quiet():
                attachment = method.attach(base.model)
            try:
                times[label].extend(_timed(attachment, batch))
            finally:
                attachment.detach()
                base.model.eval()
            tick((turn * len(methods) + at + 1) / (ROUNDS * len(methods)))
    return {label: statistics.median(seconds) for label, seconds in times.items()}


def peak_memory_bytes() -> int:
    """Most memory held so far: by CUDA's allocator where there is a CUDA device, by the process otherwise."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    if STATUS.is_file():
        # Linux hands a program on to `getrusage` with the peak of the one that started it; this mark is its own.
        held = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(held.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak_memory() -> bool:
    """Let ``peak_memory_bytes`` begin anew from what is held now; whether it can.

    It can where CUDA counts. A process keeps much of what was freed, so that what it holds says nothing of a second
    training in it.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    return torch.cuda.is_available()


def _batch(base: Base, examples: Sequence[Example], options: TrainingOptions) -> dict[str, torch.Tensor]:
    texts = [e.prompt + e.answer if isinstance(e.prompt, str) else e.answer for e in examples]
    rows = base.tokenizer(
        texts[: options.per_device_train_batch_size],
        padding=True,
        truncation=True,
        max_length=options.max_length,
        return_tensors="pt",
    ).to(base.model.device)
    labels = rows["input_ids"].masked_fill(rows["attention_mask"] == 0, -100)
    return {"input_ids": rows["input_ids"], "attention_mask": rows["attention_mask"], "labels": labels}


def _timed(attachment: Attachment, batch: dict[str, torch.Tensor]) -> list[float]:
    # What is looked at before training is not timed, and what it is does not matter for the time of a step.
    attachment.prepare(Material({"target": [batch]}, [batch]))
    tensors = list(attachment.trainable().values())
    # Weights move, since methods that rank what has moved find nothing in weights that stay; `detach` puts them back.
    optimizer = torch.optim.AdamW(tensors, lr=RATE, weight_decay=0.0, fused=True)
    attachment.before_training(optimizer, STEPS + 1)
    attachment.model.train()
    seconds = []
    for step in range(STEPS + 1):
        _finish()
        started = time.perf_counter()
        attachment.before_forward(step, STEPS + 1)
        take_gradient(attachment, lambda: attachment.model(**batch).loss.backward(), step)
        if (penalty := attachment.penalty()) is not None:
            add_gradient(penalty, attachment)
        attachment.after_backward(step, STEPS + 1)
        optimizer.step()
        attachment.after_step(step, STEPS + 1)
        optimizer.zero_grad()
        _finish()
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
