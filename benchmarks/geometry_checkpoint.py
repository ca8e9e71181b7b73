"""A low-rank checkpoint of a 7B model diagnosed in the weights, its 224 matrices read one at a time.

``python -m benchmarks.geometry_checkpoint FOLDER`` keeps base weights and spectra in the folder (1 GB), so that only
the first run decomposes anything. Shapes are those of Llama 7B, in bfloat16; one random weight of each shape stands
for all of that shape, since the spectra of 224 take 41 GB. What is measured is thus the time with everything in the
page cache of the operating system; reading 41 GB from a disk comes on top.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.harness import conditions
from holdfast.algebra.low_rank import LowRank
from holdfast.core.diagnosis import Diagnosis
from holdfast.measure.diagnose import Diagnosing, Patient, diagnose
from holdfast.probes.weight_space import WeightSpace
from holdfast.store.spectra import Spectra
from holdfast.weights.update import Update

RANK, REPEATS = 8, 3
IN_WEIGHTS = Diagnosing(weights=WeightSpace(turned=False), controls=False)
"""What the public tools print of the weights: size, ranks, both profiles and their fluctuation."""

Shape = tuple[int, int]


@dataclass(frozen=True)
class Stack:
    """Base weights of a Llama on disk, one of each shape, read anew each time they are asked for.

    Attributes:
        folder: Where they lie, or are written.
        layers: How many blocks.
        hidden: Width of the residual stream.
        wide: Width inside the MLP.
        dtype: Their type.
    """

    folder: Path
    layers: int = 32
    hidden: int = 4096
    wide: int = 11008
    dtype: torch.dtype = torch.bfloat16

    def shapes(self) -> dict[str, Shape]:
        """Shape of every matrix, outputs by inputs."""
        square, up, down = (self.hidden, self.hidden), (self.wide, self.hidden), (self.hidden, self.wide)
        block = {f"self_attn.{name}_proj": square for name in "qkvo"}
        block |= {"mlp.gate_proj": up, "mlp.up_proj": up, "mlp.down_proj": down}
        return {f"model.layers.{at}.{name}.weight": block[name] for at in range(self.layers) for name in block}

    def write(self) -> None:
        """Draw the weights, unless they are there."""
        if not self._file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            torch.manual_seed(0)
            drawn = {_key(s): torch.randn(s) / s[1] ** 0.5 for s in sorted(set(self.shapes().values()))}
            save_file({name: weight.to(self.dtype) for name, weight in drawn.items()}, self._file)

    def weight(self, name: str) -> Tensor:
        """A weight, from its file."""
        with safe_open(self._file, framework="pt") as tensors:
            found: Tensor = tensors.get_tensor(_key(self.shapes()[name]))
        return found

    @property
    def _file(self) -> Path:
        return self.folder / "base.safetensors"


def low_rank(shape: Shape) -> LowRank:
    """A random change of low rank."""
    outputs, inputs = shape
    return LowRank(0.02 * torch.randn(outputs, RANK), torch.randn(RANK, inputs) / inputs**0.5)


def run(folder: Path, repeats: int = REPEATS) -> str:
    """Diagnose one block, so that every spectrum is cached, then all; say what it took."""
    torch.set_num_threads(1)
    spectra, stack = Spectra(folder), Stack(folder)
    stack.write()
    update = Update({name: low_rank(shape) for name, shape in stack.shapes().items()})
    params = sum(math.prod(shape) for shape in stack.shapes().values())
    patient = Patient("7B", "LoRA", "lora adapter", update, stack.weight, params, spectra.of)
    for shape in sorted(set(stack.shapes().values())):
        spectra.of(stack.weight(next(name for name, other in stack.shapes().items() if other == shape)))
    spent, waited = [], []
    for _ in range(repeats):
        started, began = time.process_time(), time.perf_counter()
        found = diagnose(patient, how=IN_WEIGHTS)
        spent.append(time.process_time() - started)
        waited.append(time.perf_counter() - began)
    _check(found, patient)
    return (
        f"### {len(update)} matrices of Llama 7B, LoRA r {RANK}, in the weights (medians of {repeats})\n\n"
        f"{statistics.median(spent):.1f} s of processor time ({min(spent):.1f} to {max(spent):.1f}), "
        f"{statistics.median(waited):.1f} s by the clock: {len(found.records)} records, {len(found.curves)} curves.\n"
    )


def _check(found: Diagnosis, patient: Patient) -> None:
    """Nothing is missing, and one matrix written out gives the same numbers."""
    name = "model.layers.0.self_attn.k_proj"
    values = {record.quantity: record.value for record in found.records if record.site == name}
    left, right = (factor.double() for factor in patient.update[f"{name}.weight"].factors() or ())
    # The nonzero eigenvalues of dW dW^T are those of a small product.
    energies = torch.linalg.eigvals((left.T @ left) @ (right @ right.T)).real
    wanted = {
        "relative_size_frobenius": float(energies.sum().sqrt() / patient.weight(f"{name}.weight").double().norm()),
        "stable_rank": float(energies.sum() / energies.max()),
    }
    for quantity, value in wanted.items():
        assert math.isclose(values[quantity] or 0, value, rel_tol=1e-4), quantity
    assert all(record.value is not None for record in found.records)
    assert len(found.curves) == 2 * len(patient.update)


def _key(shape: Shape) -> str:
    return "x".join(map(str, shape))


def main() -> None:
    """Print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where base weights and spectra are kept")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    print(conditions() + "\n\n" + run(asked.folder, asked.repeats))


if __name__ == "__main__":
    main()
