"""Isolating methods in processes with parts or copies of the tensors: run by a test, told by what it writes.

Usage: python sharded.py RANK WORLD FOLDER parts|copies METHOD...

With parts all processes read the same, as one would; with copies each reads its own.
"""

from __future__ import annotations

import sys

import torch
from processes import joined, shard, whole
from torch import nn

from holdfast.methods.isolation.method import Isolating
from holdfast.methods.on_top import method_named
from holdfast.testing.laws import small_model

STEPS, STOP = 6, 3


def train(method: Isolating, way: str, rank: int, world: int) -> dict[str, dict[str, torch.Tensor]]:
    """Train, stop half-way and go on from what was saved; the weights, and what is held in the end."""
    model = small_model().train()
    trained: nn.Module = model
    if way == "parts":
        shard(model, world)
    elif world > 1:
        trained = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    isolation = method.isolate(model, optimizer, steps=STEPS)
    for step in range(STEPS):
        if step == STOP:
            state = {name: tensor.clone() for name, tensor in isolation.state_dict().items()}
            isolation.detach()
            isolation = method.isolate(model, optimizer, steps=STEPS)
            isolation.load_state_dict(state)
        draw = torch.Generator().manual_seed(step if way == "parts" else 10 * step + rank)
        tokens = torch.randint(3, 128, (2, 12), generator=draw)
        trained(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    tensors = dict(model.named_parameters())
    held = {name: whole(tensors[name], bits.dense().to(torch.uint8)) for name, bits in isolation.mask().items()}
    return {"held": held, "weights": {name: whole(tensor) for name, tensor in tensors.items()}}


def main() -> None:
    """One of the processes."""
    with joined() as (rank, world, folder):
        torch.manual_seed(0)
        way, *specs = sys.argv[4:]
        found = {spec: train(method_named(spec), way, rank, world) for spec in specs}
        torch.save(found, folder / f"{world}.{rank}.pt")


if __name__ == "__main__":
    main()
