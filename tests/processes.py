"""Programs that run in one process or in several that know of each other, started by a test."""

from __future__ import annotations

import multiprocessing as mp
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

PATIENCE_S = 300


def begun(program: Path, *words: object) -> BaseProcess:
    """A process that runs a program as the main one, forked from one that has loaded the libraries: that costs little.

    It is the server of ``holdfast.arena.executor``, so that a session of tests has one of them.
    """
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["holdfast.arena.jobs"])
    process = context.Process(target=_run, args=(program, [str(word) for word in words], dict(os.environ)))
    process.start()
    return process


def _run(program: Path, words: Sequence[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)  # the server knows that of the moment when it was started
    sys.argv = [str(program), *words]
    runpy.run_path(str(program), run_name="__main__")


def launch(program: Path, world: int, folder: Path, *words: str) -> None:
    """Run a program in so many processes, each told its rank, their number, and a folder that they share."""
    assert ends([begun(program, rank, world, folder, *words) for rank in range(world)]) == [0] * world


def ends(processes: Sequence[BaseProcess]) -> list[int | None]:
    """How processes ended; nothing, and killed, is one that waits for ever."""
    for process in processes:
        process.join(PATIENCE_S)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return codes


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
