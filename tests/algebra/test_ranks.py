"""Several processes choose together what one would."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from processes import begun, ends
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

from holdfast.algebra.mask import Mask
from holdfast.algebra.ranks import ALONE, Together, UnsupportedSharding, local, start_of
from holdfast.algebra.selection import random, top
from holdfast.core.errors import HoldfastError, NotMeasurable

WORLD = 2
GROUPS = {"even": "x", "uneven": "x", "one row": "y", "ties": "y", "nothing": "y"}
CHOICES: list[dict[str, Any]] = [
    {"share_frac": share, "largest": largest, **options}
    for share, largest in ((0.01, True), (0.3, True), (0.2, False), (1.0, True))
    for options in (
        {"groups": GROUPS},
        {"groups": GROUPS, "calibration": "mean"},
        {"groups": GROUPS, "calibration": "quantile"},
        {"each": "group", "groups": GROUPS},
        {"each": "tensor"},
    )
]
"""Ways to choose; the shares split ties, of which one tensor has nothing else."""


def scores() -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {
        "even": torch.rand(40, 30, generator=rng),
        "uneven": torch.rand(7, 300, generator=rng) * 1e-4,
        "one row": torch.rand(1, 50, generator=rng),
        "ties": (torch.rand(501, generator=rng) * 3).ceil(),
        "nothing": torch.zeros(0, 5),
    }


def work(rank: int, folder: Path) -> None:
    """What one of the processes does: choose, and write down what it holds."""
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=WORLD)
    mesh, together = DeviceMesh("cpu", list(range(WORLD))), Together()
    spread = {name: distribute_tensor(whole, mesh, [Shard(0)]) for name, whole in scores().items()}
    held = {name: local(part) for name, part in spread.items()}
    starts = {name: start_of(part) for name, part in spread.items()}
    masks = [top(held, ranks=together, **choice) for choice in CHOICES]
    shapes = {name: tuple(part.shape) for name, part in held.items()}
    masks.append(random(shapes, 0.1, 5, starts=starts, ranks=together))
    shares = held["even"].untyped_storage().data_ptr() == spread["even"].to_local().untyped_storage().data_ptr()
    found = {
        "masks": [{name: bits.dense().flatten().tolist() for name, bits in mask.items()} for mask in masks],
        "starts": starts,
        "shares memory": shares,
        "reduced": reduced(rank, together),
        "faults": faults(rank, mesh, together),
    }
    (folder / f"{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def reduced(rank: int, together: Together) -> list[list[int]]:
    own = torch.tensor([rank + 1, 5 - 2 * rank])
    ways = (together.sum, together.least, together.most, together.before)
    return [way(own).tolist() for way in ways] + [own.tolist()]


def faults(rank: int, mesh: DeviceMesh, together: Together) -> list[str]:
    said = []
    for placement in (Shard(1), Replicate(), Partial()):
        tensor = DTensor.from_local(torch.ones(2, 4), mesh, [placement])
        for ask in (local, start_of):
            with pytest.raises(UnsupportedSharding) as refused:
                ask(tensor)
            said.append(str(refused.value))
    # Only the last process holds the fault, and all must be told, or the others would wait for it forever.
    bad = torch.tensor([float("nan") if rank == WORLD - 1 else 1.0])
    with pytest.raises(NotMeasurable) as refused:
        top({"bad": bad}, 0.5, ranks=together)
    return [*said, str(refused.value)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the processes wrote down."""
    folder = tmp_path_factory.mktemp("ranks")
    assert ends([begun(Path(__file__), rank, folder) for rank in range(WORLD)]) == [0] * WORLD
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(WORLD)]


@pytest.mark.parametrize("number", range(len(CHOICES) + 1))
def test_two_processes_choose_what_one_does(told: list[dict[str, Any]], number: int) -> None:
    whole = scores()
    shapes = {name: tuple(held.shape) for name, held in whole.items()}
    alone: Mask = top(whole, **CHOICES[number]) if number < len(CHOICES) else random(shapes, 0.1, 5)
    for name, bits in alone.items():
        parts = [flag for held in told for flag in held["masks"][number][name]]
        assert parts == bits.dense().flatten().tolist()


def test_parts_start_where_earlier_ones_end(told: list[dict[str, Any]]) -> None:
    assert told[0]["starts"] == dict.fromkeys(GROUPS, 0)
    # The second process holds no row of a tensor that has one.
    assert told[1]["starts"] == {"even": 600, "uneven": 1200, "one row": 50, "ties": 251, "nothing": 0}
    assert told[0]["shares memory"] and told[1]["shares memory"]


def test_processes_add_up_and_compare(told: list[dict[str, Any]]) -> None:
    assert told[0]["reduced"] == [[3, 8], [1, 3], [2, 5], [0, 0], [1, 5]]
    assert told[1]["reduced"] == [[3, 8], [1, 3], [2, 5], [1, 5], [2, 3]]


def test_other_ways_to_spread_a_tensor_are_refused(told: list[dict[str, Any]]) -> None:
    for held in told:
        *refused, bad = held["faults"]
        assert len(refused) == 6
        for said, placement in zip(refused[::2], ("Shard(dim=1)", "Replicate()", "Partial(sum)"), strict=True):
            assert f"found ({placement},) on a mesh of shape (2,)" in said
            assert "shard it over one dimension, or gather it first" in said
        assert "'bad' has a score that is not a number" in bad
    assert issubclass(UnsupportedSharding, HoldfastError)


def test_a_process_alone_keeps_everything() -> None:
    values = torch.tensor([3, 1])
    assert ALONE.sum(values) is ALONE.least(values) is ALONE.most(values) is values
    assert ALONE.before(values).tolist() == [0, 0]


def test_a_plain_tensor_is_held_whole_and_shares_its_memory() -> None:
    parameter = torch.nn.Parameter(torch.ones(3, 4))
    held = local(parameter)
    held.zero_()
    assert not held.requires_grad and type(held) is Tensor
    assert not parameter.any()
    assert start_of(parameter) == 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(int(sys.argv[1]), Path(sys.argv[2]))
