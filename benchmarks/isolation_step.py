"""The optimizer step with some scalars held, against fused AdamW that holds none; nothing else differs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.harness import side_by_side, table
from holdfast.methods.epi import Epi
from holdfast.methods.isolation.isolation import Isolation

SCALARS = 100_000_000
WIDTH, DEPTH = 4096, 11008
RATIO = 0.01
REPEATS = 7


def run(scalars: int = SCALARS) -> str:
    """The table for this many scalars in matrices of a 7B model's shape.

    Memory: about 50 bytes a scalar.
    """
    torch.set_num_threads(1)
    model = _model(scalars)
    ways: dict[str, Callable[[], object]] = {"fused AdamW": _optimizer(model).step}
    notes = []
    for ratio in (RATIO, 0.05):
        for importance in ("adam_v", "own_ema"):
            optimizer = _optimizer(model)
            method = Epi(ratio=ratio, importance=importance, first_refresh=1, interval=1_000_000)
            isolation = method.isolate(model, optimizer, steps=10)
            optimizer.step()  # the choice is made here, and held from now on
            _check_held(model, isolation, optimizer)
            label = f"EPI, {importance}, {ratio:.0%} held"
            ways[label] = optimizer.step
            notes.append(_memory(label, isolation, model))
    ways["the naive form"] = _naive(model)
    size = sum(tensor.numel() for tensor in model.parameters())
    heading = f"Optimizer step, {size:,} scalars, float32, held scalars bit-identical"
    return table(heading, side_by_side(ways, REPEATS), "fused AdamW") + "\n" + "\n".join(notes) + "\n"


def _model(scalars: int) -> nn.Module:
    """Matrices of two shapes with gradients, in blocks, as many as it takes."""
    draw = torch.Generator().manual_seed(0)
    pairs = max(1, round(scalars / (2 * WIDTH * DEPTH)))
    width, depth = (WIDTH, DEPTH) if scalars >= WIDTH * DEPTH else (256, 704)
    shapes = [(width, depth), (depth, width)]
    blocks = ([nn.Linear(*shape, bias=False) for shape in shapes] for _ in range(pairs))
    model = nn.ModuleDict({"layers": nn.ModuleList(nn.ModuleList(block) for block in blocks)})
    for tensor in model.parameters():
        tensor.grad = torch.randn(tensor.shape, generator=draw) * 1e-3
    return model


def _optimizer(model: nn.Module) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, fused=True)
    optimizer.step()
    return optimizer


def _check_held(model: nn.Module, isolation: Isolation, optimizer: torch.optim.Optimizer) -> None:
    mask = isolation.mask()
    kept = {name: tensor.detach()[mask[name].dense()] for name, tensor in model.named_parameters()}
    optimizer.step()
    for name, tensor in model.named_parameters():
        assert torch.equal(tensor.detach()[mask[name].dense()], kept[name]), f"{name} has moved"


def _memory(label: str, isolation: Isolation, model: nn.Module) -> str:
    size, mask = sum(tensor.numel() for tensor in model.parameters()), isolation.mask()
    bits = 8 * (isolation.extra_bytes() - 4 * mask.count()) / size
    return f"{label}: {bits:.2f} bits a scalar beside the {mask.share_frac:.2%} of kept values"


def _naive(model: nn.Module) -> Callable[[], object]:
    """What one writes first: an average with temporaries, a mask in floats, an update in many passes."""
    tensors = list(model.parameters())
    averages = [torch.zeros_like(tensor) for tensor in tensors]
    masks = [torch.zeros_like(tensor) for tensor in tensors]
    optimizer = torch.optim.AdamW(tensors, lr=1e-5, weight_decay=0.01, foreach=True)

    def step() -> None:
        before: list[Tensor] = [tensor.detach().clone() for tensor in tensors]
        for i, tensor in enumerate(tensors):
            averages[i] = 0.99 * averages[i] + (1 - 0.99) * tensor.grad**2  # type: ignore[operator]
        optimizer.step()
        with torch.no_grad():
            for tensor, old, mask in zip(tensors, before, masks, strict=True):
                tensor.copy_(old + (1 - mask) * (tensor - old))

    return step
