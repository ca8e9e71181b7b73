"""What processes that hold parts of the same tensors must agree on, and which part one of them holds."""

from __future__ import annotations

from typing import Final, Protocol

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, Shard

from holdfast.core.errors import HoldfastError


class UnsupportedSharding(HoldfastError):
    """A tensor that is spread over processes in a way that positions in it cannot be told from."""


class Ranks(Protocol):
    """Processes of which each holds a part of every tensor, in the order of the rows: every scalar is in one of them.

    All of them call the same functions in the same order, with tensors of the same shape.
    """

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, element by element."""
        ...

    def least(self, values: Tensor) -> Tensor:
        """The least over all processes, element by element."""
        ...

    def most(self, values: Tensor) -> Tensor:
        """The most over all processes, element by element."""
        ...

    def before(self, counts: Tensor) -> Tensor:
        """The sum over the processes before this one, element by element; 0 in the first."""
        ...


class Alone:
    """One process that holds everything."""

    def sum(self, values: Tensor) -> Tensor:
        return values

    def least(self, values: Tensor) -> Tensor:
        return values

    def most(self, values: Tensor) -> Tensor:
        return values

    def before(self, counts: Tensor) -> Tensor:
        return torch.zeros_like(counts)


ALONE: Final[Ranks] = Alone()


class Together:
    """The processes of a group of ``torch.distributed``.

    Args:
        process_group: The group over which tensors are sharded, its ranks in the order of the shards; all processes
            where none is given.
    """

    def __init__(self, process_group: dist.ProcessGroup | None = None) -> None:
        self._group = process_group

    def sum(self, values: Tensor) -> Tensor:
        return self._reduced(values, dist.ReduceOp.SUM)

    def least(self, values: Tensor) -> Tensor:
        return self._reduced(values, dist.ReduceOp.MIN)

    def most(self, values: Tensor) -> Tensor:
        return self._reduced(values, dist.ReduceOp.MAX)

    def before(self, counts: Tensor) -> Tensor:
        own = self._placed(counts)
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size(self._group))]
        dist.all_gather(parts, own, group=self._group)
        lower = parts[: dist.get_rank(self._group)]
        return sum(lower, start=torch.zeros_like(own)).to(counts.device)

    def _reduced(self, values: Tensor, how: dist.ReduceOp.RedOpType) -> Tensor:
        found = self._placed(values)
        dist.all_reduce(found, how, group=self._group)
        return found.to(values.device)

    def _placed(self, values: Tensor) -> Tensor:
        """A copy where the group can reach it: NCCL knows no memory but that of a GPU."""
        device = "cuda" if dist.get_backend(self._group) == "nccl" else values.device
        return values.to(device, copy=True).contiguous()


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process holds, as a plain tensor that shares its memory.

    Raises:
        UnsupportedSharding: If the tensor is spread otherwise than by whole rows.
    """
    if not isinstance(tensor, DTensor):
        return tensor.detach()
    _sharded_dimension(tensor)
    held: Tensor = tensor.to_local()
    return held.detach()


def start_of(tensor: Tensor) -> int:
    """At which position of the whole flattened tensor the part held here starts; 0 if it is not spread at all.

    Raises:
        UnsupportedSharding: If the tensor is spread otherwise than by whole rows.
    """
    if not isinstance(tensor, DTensor):
        return 0
    dimension = _sharded_dimension(tensor)
    if dimension is None:
        return 0
    place = tensor.device_mesh.get_local_rank(dimension)
    rows = tensor.shape[0]
    # Every process gets as many rows as the first, as long as there are any: the last ones may go without.
    first = min(rows, place * -(-rows // tensor.device_mesh.size(dimension)))
    return first * (tensor.numel() // rows if rows else 0)


def _sharded_dimension(tensor: DTensor) -> int | None:
    """The dimension of the mesh over which rows are spread; none where every dimension has size 1."""
    mesh, placements = tensor.device_mesh, tensor.placements
    spread = [dimension for dimension in range(mesh.ndim) if mesh.size(dimension) > 1]
    if not spread:
        return None
    # A subclass of Shard interleaves rows.
    if len(spread) == 1 and type(found := placements[spread[0]]) is Shard and found.dim == 0:
        return spread[0]
    raise UnsupportedSharding(
        "scalars are chosen by their position, for which a tensor must be whole or spread by rows over one dimension "
        f"of the mesh (Shard(0), as FSDP2 does it); found {tuple(placements)} on a mesh of shape {tuple(mesh.shape)}: "
        "shard it over one dimension, or gather it first"
    )
