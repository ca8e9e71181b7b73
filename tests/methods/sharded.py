"""Isolating methods in processes that hold a part of every tensor each: run by a test, told by what it writes.

Usage: python sharded.py RANK WORLD FOLDER METHOD...
"""

from __future__ import annotations

import sys

import torch
from processes import joined, shard, whole

from holdfast.methods.isolation.method import Isolating
from holdfast.methods.on_top import method_named
from holdfast.testing.laws import small_model

STEPS, STOP = 6, 3


def train(method: Isolating, world: int) -> dict[str, dict[str, torch.Tensor]]:
    """Train, stop half-way and go on from what was saved; the weights, and what is held in the end."""
    model = small_model().train()
    shard(model, world)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    isolation = method.isolate(model, optimizer, steps=STEPS)
    for step in range(STEPS):
        if step == STOP:
            state = {name: tensor.clone() for name, tensor in isolation.state_dict().items()}
            isolation.detach()
            isolation = method.isolate(model, optimizer, steps=STEPS)
            isolation.load_state_dict(state)
        tokens = torch.randint(3, 128, (2, 12), generator=torch.Generator().manual_seed(step))
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    tensors = dict(model.named_parameters())
    held = {name: whole(tensors[name], bits.dense().to(torch.uint8)) for name, bits in isolation.mask().items()}
    return {"held": held, "weights": {name: whole(tensor) for name, tensor in tensors.items()}}


def main() -> None:
    """One of the processes."""
    with joined() as (rank, world, folder):
        found = {spec: train(method_named(spec), world) for spec in sys.argv[4:]}
        if rank == 0:
            torch.save(found, folder / f"{world}.pt")


if __name__ == "__main__":
    main()
