"""Forty points along a ray of noise: rebuilt each time from a copy, against a stored direction added and subtracted.

``python -m benchmarks.noise_sweep WAY`` is what the benchmark starts for every way, in a process of its own: it prints
the highest resident size (VmHWM of Linux) above that of the loaded model, in models, and what has become of weights.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from math import sqrt
from pathlib import Path

import numpy
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from benchmarks.harness import Timed, llama, side_by_side, table
from holdfast.algebra.normals import normal, runs
from holdfast.weights.perturbing.sweep import sweeping
from holdfast.weights.quiet import quiet
from holdfast.weights.rays import gaussian
from holdfast.weights.shards import Shards

POINTS = tuple(0.0005 * step for step in range(-20, 20))
VOCABULARY, HIDDEN, LAYERS = 8000, 768, 6
REPEATS = 5
PROMPT = torch.arange(3, 19)[None]

Way = Callable[[PreTrainedModel, Path], None]


def plainly(model: PreTrainedModel, folder: Path) -> None:
    """The direction is stored, added, and subtracted again."""
    rng = torch.Generator().manual_seed(0)
    direction = {
        name: torch.randn(weight.shape, generator=rng, dtype=weight.dtype) for name, weight in model.named_parameters()
    }
    for distance in POINTS:
        for name, weight in model.named_parameters():
            weight.add_(direction[name], alpha=distance)
        model(PROMPT)
        for name, weight in model.named_parameters():
            weight.sub_(direction[name], alpha=distance)


def from_a_copy(model: PreTrainedModel, folder: Path) -> None:
    """Every point is rebuilt from a copy in memory."""
    with sweeping(model, gaussian(model, 0).update) as sweep:
        for distance in POINTS:
            sweep.to(distance)(PROMPT)


def from_the_checkpoint(model: PreTrainedModel, folder: Path) -> None:
    """Every point is rebuilt from the files of the model."""
    with sweeping(model, gaussian(model, 0).update, Shards(folder)) as sweep:
        for distance in POINTS:
            sweep.to(distance)(PROMPT)


WAYS: dict[str, Way] = {
    "stored, added, subtracted": plainly,
    "rebuilt from a copy": from_a_copy,
    "rebuilt from the checkpoint": from_the_checkpoint,
}


def run() -> str:
    """Time the noise, walk every way, and return the tables."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = llama(VOCABULARY, HIDDEN, LAYERS).bfloat16()
        with quiet():
            model.save_pretrained(folder)
        shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
        del model
        return "\n".join([of_the_noise(shapes), of_the_sweep(Path(folder))])


def of_the_noise(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What a number costs: drawn through in a cache, as noise that is added at once is, and as whole tensors."""
    sizes = {name: numpy.prod(shape, dtype=int) for name, shape in shapes.items()}
    count = int(sum(sizes.values()))
    drawn = torch.cat([run.clone() for _, run in runs(0, "lm_head.weight", 0, 300_000)])
    assert torch.equal(drawn[70_000:], normal(0, "lm_head.weight", 70_000, 300_000))

    def fresh() -> None:
        for size in sizes.values():
            torch.randn(size, generator=torch.Generator().manual_seed(0))

    def through() -> None:
        for name, size in sizes.items():
            for _ in runs(0, name, 0, size):
                pass

    ways: dict[str, Callable[[], object]] = {
        "torch.randn, a fresh generator a tensor": fresh,
        "torch.randn, again": fresh,
        "numpy's Philox, a tensor at a time": lambda: [
            numpy.random.Generator(numpy.random.Philox(key=0)).standard_normal(size, dtype=numpy.float32)
            for size in sizes.values()
        ],
        "keyed by place, drawn through": through,
        "keyed by place, whole tensors": lambda: [normal(0, name, 0, size) for name, size in sizes.items()],
    }
    times = side_by_side(ways, REPEATS)
    baseline = next(iter(ways))
    title = f"Normal numbers for {count / 1e6:.0f} million weights in {len(sizes)} tensors (medians of {REPEATS})"
    return f"{table(title, times, baseline)}\n{each(times, count)}\n"


def each(times: Mapping[str, Timed], count: int) -> str:
    """Nanoseconds a number."""
    return "Nanoseconds a number: " + ", ".join(f"{name} {1e9 * t.median_s / count:.2f}" for name, t in times.items())


def of_the_sweep(folder: Path) -> str:
    """Memory and drift of all ways, each walked in a process of its own."""
    lines = [
        f"### {len(POINTS)} points from {POINTS[0]:g} to {POINTS[-1]:g} in bfloat16, hidden {HIDDEN}, {LAYERS} layers",
        "",
        "| way | extra memory, models | weights changed | drift, of a step of 0.0005 | processor time, s |",
        "|---|---:|---:|---:|---:|",
    ]
    for name in WAYS:
        told = subprocess.run(
            [sys.executable, "-m", "benchmarks.noise_sweep", name, str(folder)],
            check=True,
            capture_output=True,
            text=True,
        )
        found = json.loads(told.stdout.splitlines()[-1])
        if name != "stored, added, subtracted":
            assert found["changed"] == 0, found
        lines.append(
            f"| {name} | {found['extra']:.2f} | {found['changed']:.1%} | {found['drift']:.2f} | {found['time_s']:.0f} |"
        )
    return "\n".join(lines) + "\n"


@torch.no_grad()
def walk(name: str, folder: Path) -> dict[str, float]:
    """One way in this process: its memory above that of the model, and what has become of the weights."""
    torch.set_num_threads(1)
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    for weight in model.parameters():  # in memory of its own, not mapped
        weight.data = weight.data.clone()
    model(PROMPT)
    size = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    stored = Shards(folder)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins here
    before = _resident("VmHWM")
    started = time.process_time()
    WAYS[name](model, folder)
    spent = time.process_time() - started
    return {"extra": (_resident("VmHWM") - before) / size, **_left(model, stored), "time_s": spent}


def _left(model: PreTrainedModel, stored: Shards) -> dict[str, float]:
    moved = [weight.float() - stored.tensor(name).float() for name, weight in model.named_parameters()]
    count = sum(map(Tensor.numel, moved))
    drift = sqrt(sum(float(each.double().square().sum()) for each in moved) / count)
    return {"changed": sum(int(each.count_nonzero()) for each in moved) / count, "drift": drift / 0.0005}


def _resident(kind: str) -> int:
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return 1024 * int(found[1])


if __name__ == "__main__":
    print(json.dumps(walk(sys.argv[1], Path(sys.argv[2]))))
