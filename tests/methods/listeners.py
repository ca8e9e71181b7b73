"""MIGU and SSU in two processes, which read a batch each: run by a test, told by what it writes.

Usage: python listeners.py RANK WORLD FOLDER
"""

from __future__ import annotations

import torch
from processes import joined, shard, whole
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from holdfast.methods.isolation.method import Isolating
from holdfast.methods.migu import Migu
from holdfast.methods.ssu import Ssu
from holdfast.testing.laws import small_model
from holdfast.weights.material import Batch, Material


def batch(seed: int) -> Batch:
    tokens = torch.randint(3, 128, (2, 12), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(tokens)
    mask[seed % 2, 7:] = 0
    return {"input_ids": tokens, "attention_mask": mask, "labels": tokens}


def gpt2() -> nn.Module:
    torch.manual_seed(0)
    # 25 is no multiple of 2: the processes hold parts of different sizes.
    shape = {"n_positions": 32, "n_embd": 25, "n_layer": 1, "n_head": 5, "n_inner": 51}
    return GPT2LMHeadModel(GPT2Config(vocab_size=128, bos_token_id=1, eos_token_id=2, **shape)).eval()


def held_after_two_steps(method: Isolating, model: nn.Module, way: str, rank: int, world: int) -> dict[str, Tensor]:
    """Flags of what is held, of whole tensors, when each process has read its batches of two steps."""
    trained: nn.Module = model
    if way == "shards":
        shard(model, world)
    if world > 1 and way == "copies":
        trained = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    isolation = method.isolate(model, optimizer, material=Material(source=[batch(77), batch(78)]))
    for step in range(2):
        for part in [rank] if world > 1 else [0, 1]:
            (trained(**batch(2 * step + part)).loss * world / 2).backward()
        optimizer.step()
        optimizer.zero_grad()
    tensors = dict(model.named_parameters())
    flags = {name: bits.dense().to(torch.uint8) for name, bits in isolation.mask().items()}
    return {name: whole(tensors[name], chosen).bool() for name, chosen in flags.items()}


def main() -> None:
    """One of the processes."""
    with joined() as (rank, world, folder):
        found = {
            (method.name, make.__name__, way): held_after_two_steps(method, make(), way, rank, world)
            for method in (Migu(), Ssu())
            for make in (small_model, gpt2)
            for way in ("shards", "copies")
        }
        torch.save(found, folder / f"{world}.{rank}.pt")


if __name__ == "__main__":
    main()
