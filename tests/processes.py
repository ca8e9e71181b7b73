"""Programs that run in one process or in several that know of each other, started by a test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

ROOM = Path(__file__).parent


def launch(program: Path, world: int, folder: Path, *words: str) -> None:
    """Run a program in so many processes, each told its rank, their number, and a folder that they share."""
    environment = {**os.environ, "PYTHONPATH": str(ROOM), "OMP_NUM_THREADS": "1"}
    lines = [[sys.executable, str(program), str(rank), str(world), str(folder), *words] for rank in range(world)]
    processes = [subprocess.Popen(line, env=environment) for line in lines]
    assert [process.wait(timeout=300) for process in processes] == [0] * world


@contextmanager
def joined() -> Iterator[tuple[int, int, Path]]:
    """In such a program: rank, number of processes, and their folder; they find each other if there are several."""
    rank, world, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    if world > 1:
        os.environ.update(MASTER_ADDR="localhost", LOCAL_RANK=str(rank))
        store = f"file://{folder / 'store'}"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    yield rank, world, folder
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()


def shard(model: nn.Module, world: int) -> None:
    """Cut every parameter up by rows, as FSDP2 does, if there are several processes."""
    if world > 1:
        mesh = init_device_mesh("cpu", (world,))
        for layer in model.model.layers if hasattr(model, "model") else model.transformer.h:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)


def whole(tensor: Tensor, part: Tensor | None = None) -> Tensor:
    """What all processes together hold of a tensor, or of something whose parts lie where its parts do."""
    if not isinstance(tensor, DTensor):
        return tensor.detach() if part is None else part
    if part is not None:
        places = {"shape": tensor.shape, "stride": tensor.stride()}
        tensor = DTensor.from_local(part, tensor.device_mesh, tensor.placements, **places)
    return tensor.detach().full_tensor()
