"""Choosing anew which scalars are held: exactly and without a sort, against sorts of all scores, in steps of AdamW.

``python -m benchmarks.isolation_refresh --millions 100`` for a model of another size; it takes 50 bytes a scalar.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import floor

import torch
from torch import Tensor
from torch.nn import Parameter

from benchmarks.harness import conditions, side_by_side, table
from holdfast.algebra.mask import Mask
from holdfast.algebra.selection import top

MILLIONS = 25
REPEATS = 3
HIDDEN, WIDE = 1024, 2816
BLOCK = {"q": (HIDDEN, HIDDEN), "k": (HIDDEN, HIDDEN), "v": (HIDDEN, HIDDEN), "o": (HIDDEN, HIDDEN)} | {
    "gate": (WIDE, HIDDEN),
    "up": (WIDE, HIDDEN),
    "down": (HIDDEN, WIDE),
}
"""Matrices of a decoder block, 12.8 million scalars."""

GLOBAL_FRAC, TENSOR_FRAC = 0.01, 0.05
BYTES_PER_SCALAR = 50

Scores = Mapping[str, Tensor]


def trained(millions: int) -> tuple[torch.optim.Optimizer, dict[str, Tensor], dict[str, str]]:
    """A fused AdamW after three steps, its second moments by name, and the block of each.

    Gradients of blocks and of rows differ by orders of magnitude, as they do in language models.
    """
    blocks = max(1, round(millions * 1e6 / sum(height * width for height, width in BLOCK.values())))
    rng = torch.Generator().manual_seed(0)
    weights = {f"{b}.{kind}": Parameter(torch.zeros(shape)) for b in range(blocks) for kind, shape in BLOCK.items()}
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-4, fused=True)
    for _ in range(3):
        for name, weight in weights.items():
            rows = torch.randn(len(weight), 1, generator=rng).exp()
            weight.grad = torch.randn(weight.shape, generator=rng).mul_(rows * 10.0 ** -(int(name.split(".")[0]) % 3))
        optimizer.step()
    moments = {name: optimizer.state[weight]["exp_avg_sq"] for name, weight in weights.items()}
    return optimizer, moments, {name: name.split(".")[0] for name in weights}


def calibrated(scores: Scores, blocks: Mapping[str, str], dtype: torch.dtype = torch.float32) -> Tensor:
    """Min-max scores of all tensors in one, written out."""
    parts = []
    for block in dict.fromkeys(blocks.values()):
        joined = torch.cat([held.flatten() for name, held in scores.items() if blocks[name] == block]).to(dtype)
        least, most = joined.aminmax()
        parts.append((joined - least) / (most - least))
    return torch.cat(parts)


def by_sort(values: Tensor, count: int) -> Tensor:
    """Flags of the largest by a sort, ties by position."""
    flags = torch.zeros(len(values), dtype=torch.bool)
    flags[values.sort(descending=True, stable=True).indices[:count]] = True
    return flags


def by_topk(values: Tensor, count: int) -> Tensor:
    """Flags of the largest by the positions of the top."""
    flags = torch.zeros(len(values), dtype=torch.bool)
    flags[values.topk(count, sorted=False).indices] = True
    return flags


def by_kthvalue(values: Tensor, count: int) -> Tensor:
    """Flags of what reaches the value of a rank, ties included."""
    return values >= values.kthvalue(len(values) - count + 1).values


PLAIN: dict[str, Callable[[Tensor, int], Tensor]] = {"sort": by_sort, "topk": by_topk, "kthvalue": by_kthvalue}


def run(millions: int = MILLIONS, repeats: int = REPEATS) -> str:
    """Assert that the same scalars are chosen, time, and return the tables."""
    torch.set_num_threads(1)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if free < (needed := millions * 1_000_000 * BYTES_PER_SCALAR):
        raise SystemExit(
            f"{millions} million scalars take {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: ask for fewer"
        )
    optimizer, scores, blocks = trained(millions)
    size = sum(held.numel() for held in scores.values())
    steps: dict[str, Callable[[], object]] = {"fused AdamW step": optimizer.step, "the same, again": optimizer.step}
    told = f"{size / 1e6:.0f} million scalars in {len(scores)} matrices (medians of {repeats})"
    one = f"Largest {GLOBAL_FRAC:.0%} of min-max scores of all blocks together, {told}"
    each = f"Largest {TENSOR_FRAC:.0%} of every tensor, {told}"
    found = [
        table(one, side_by_side(steps | together(scores, blocks, size), repeats), "fused AdamW step"),
        table(each, side_by_side(steps | apart(scores), repeats), "fused AdamW step"),
    ]
    return "\n".join(found)


def together(scores: Scores, blocks: Mapping[str, str], size: int) -> dict[str, Callable[[], object]]:
    """Ways to find one threshold for all, after they were seen to choose the same."""

    def ours() -> Mask:
        return top(scores, GLOBAL_FRAC, groups=blocks)

    def plain(way: Callable[[Tensor, int], Tensor]) -> Callable[[], Tensor]:
        return lambda: way(calibrated(scores, blocks), count)

    count = floor(Fraction(str(GLOBAL_FRAC)) * size)
    chosen = torch.cat([bits.dense().flatten() for bits in ours().values()])
    # In float32 scores of different blocks are rounded to the same number now and then; in float64 they are told apart.
    assert torch.equal(chosen, by_sort(calibrated(scores, blocks, torch.float64), count))
    for name, way in PLAIN.items():
        departing = int((plain(way)() ^ chosen).sum())
        assert departing <= 1e-4 * count, f"{name}: {departing} of {count} scalars are others"
    return {"holdfast": ours} | {f"{name}, of one copy of all": plain(way) for name, way in PLAIN.items()}


def apart(scores: Scores) -> dict[str, Callable[[], object]]:
    """Ways to find a threshold for every tensor, after they were seen to choose the same."""

    def ours() -> Mask:
        return top(scores, TENSOR_FRAC, each="tensor")

    def plain(way: Callable[[Tensor, int], Tensor]) -> Callable[[], dict[str, Tensor]]:
        share = Fraction(str(TENSOR_FRAC))
        return lambda: {name: way(held.flatten(), floor(share * held.numel())) for name, held in scores.items()}

    chosen = ours()
    for name, flags in plain(by_sort)().items():
        assert torch.equal(chosen[name].dense().flatten(), flags)
    for way in (by_topk, by_kthvalue):
        for name, flags in plain(way)().items():
            departing = int((chosen[name].dense().flatten() ^ flags).sum())
            # These two take other ones of equal scores, or all of them.
            assert departing <= 1e-3 * flags.sum(), f"{name}: {departing} scalars are others"
    return {"holdfast": ours} | {name: plain(way) for name, way in PLAIN.items()}


def main() -> None:
    """Print the tables for a model of a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--millions", type=int, default=MILLIONS, help="scalars of the model, in millions")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    print(conditions() + "\n")
    print(run(asked.millions, asked.repeats))


if __name__ == "__main__":
    main()
