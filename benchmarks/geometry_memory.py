"""Memory that geometry takes: two dense models and full decompositions, against forms and one weight at a time.

``python -m benchmarks.geometry_memory``: each way runs in a process of its own, which tells its highest resident size
(VmHWM of Linux); that of a process which only imports is taken off. Files that are mapped count while they are.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.geometry import our_alignment, plain_alignment, plain_profile
from benchmarks.geometry_checkpoint import Stack, low_rank
from holdfast.algebra.delta import Delta, Dense
from holdfast.algebra.rotation import Rotation
from holdfast.probes.weight_space import WeightSpace
from holdfast.store.spectra import Spectra

LAYERS, HIDDEN, WIDE, BLOCK = 16, 1024, 2816, 32
DIAGNOSED = 7
"""Matrices that are looked at, of one block: the peak of neither way grows with their number."""

FORMS = ("low rank", "rotation", "full rank")


def stack_in(folder: Path) -> Stack:
    """The model."""
    return Stack(folder, LAYERS, HIDDEN, WIDE, torch.float32)


def nothing(folder: Path, form: str) -> None:
    """Import, and no more."""


def plainly(folder: Path, form: str) -> None:
    """Both models dense in memory, every decomposition a full one."""
    stack = stack_in(folder)
    before = {name: stack.weight(name).clone() for name in stack.shapes()}
    after = {name: weight + change_of(form, weight).dense() for name, weight in before.items()}
    for name in islice(before, DIAGNOSED):
        plain_profile(before[name], after[name])
        if form == "rotation":
            plain_alignment(before[name], after[name])


def by_forms(folder: Path, form: str) -> None:
    """One weight with its change and its cached spectrum at a time."""
    stack, spectra, probe = stack_in(folder), Spectra(folder), WeightSpace(turned=False)
    for name in islice(stack.shapes(), DIAGNOSED):
        weight = stack.weight(name)
        change, base = change_of(form, weight), spectra.of(weight)
        list(probe.measure("update", name, weight, change, base))
        if form == "rotation":
            our_alignment(weight, base, change)


def change_of(form: str, weight: Tensor) -> Delta:
    """A random change of a weight, in a form."""
    outputs, inputs = weight.shape
    if form == "low rank":
        return low_rank((outputs, inputs))
    if form == "rotation":
        generator = 0.05 * torch.randn(inputs // BLOCK, BLOCK, BLOCK)
        return Rotation(weight, generator - generator.mT)
    return Dense(0.01 * torch.randn(outputs, inputs) / inputs**0.5)


WAYS: dict[str, Callable[[Path, str], None]] = {"nothing": nothing, "plainly": plainly, "by_forms": by_forms}


def peak_mb(way: str, folder: Path, form: str) -> float:
    """Highest resident size of a fresh process that does the work, in MB."""
    command = [sys.executable, "-m", "benchmarks.geometry_memory", way, str(folder), form]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(told) * 1024 / 1e6


def tell(way: str, folder: str, form: str) -> None:
    """Do the work in this process and print its highest resident size in kB."""
    torch.set_num_threads(1)
    WAYS[way](Path(folder), form)
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found, "the highest resident size is told by Linux only"
    print(found[1])


def run() -> str:
    """Measure, and return the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack_in(folder).write()
        by_forms(folder, FORMS[0])  # Spectra are cached from here on.
        imports = peak_mb("nothing", folder, FORMS[0])
        lines = [
            f"### Peak memory, {LAYERS} blocks of hidden {HIDDEN}, float32, spectra cached",
            "",
            f"Processes that only import take {imports:.0f} MB, which is taken off.",
            "",
            "| update | two models, MB | one weight at a time, MB | times less |",
            "|---|---:|---:|---:|",
        ]
        for form in FORMS:
            plain, ours = (peak_mb(way, folder, form) - imports for way in ("plainly", "by_forms"))
            lines.append(f"| {form} | {plain:.0f} | {ours:.0f} | {plain / ours:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    tell(*sys.argv[1:]) if sys.argv[1:] else print(run())
