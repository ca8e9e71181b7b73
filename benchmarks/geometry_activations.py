"""Geometry of activations: a sweep of both models for each module, against one sweep of each and moments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from benchmarks.harness import llama, side_by_side, table
from holdfast.algebra.similarity import similarity
from holdfast.probes.gathered import paired_moments
from holdfast.probes.sites import usual_sites
from holdfast.probes.sweep import sweep
from holdfast.probes.tokens import TokenChoice

PROMPTS, TOKENS = 48, 48
REPEATS = 5

Models = Sequence[PreTrainedModel]
Rows = Sequence[tuple[int, ...]]
Found = dict[str, tuple[float, float]]


@torch.no_grad()
def sweeps_one_by_one(models: Models, rows: Rows, sites: Sequence[str]) -> Found:
    """Procrustes residual and CKA, a sweep of both models for each module, one prompt at a time."""
    found = {}
    for site in sites:
        sides = []
        for model in models:
            kept: list[Tensor] = []
            hook = model.get_submodule(site).register_forward_hook(
                lambda module, args, out, kept=kept: kept.append(out[0, 1:].float())
            )
            for ids in rows:
                model(input_ids=torch.tensor([ids]), use_cache=False)
            hook.remove()
            whole = torch.cat(kept)
            sides.append(whole - whole.mean(0))
        before, after = sides
        left, _, right = torch.linalg.svd(after.T @ before)
        residual = float((after @ (left @ right) - before).norm() / before.norm())
        shared = float((before.T @ after).norm() ** 2)
        cka = shared / float((before.T @ before).norm() * (after.T @ after).norm())
        found[site] = (residual, cka)
    return found


def one_sweep(models: Models, rows: Rows, sites: Sequence[str]) -> Found:
    """The same, and all other measures that moments give, from one sweep of each model."""
    choice = TokenChoice(tokens=None)
    taken = [sweep(model, rows, sites, choice=choice) for model in models]
    found = {}
    for site, groups in paired_moments(*taken).items():
        values = similarity(groups[0], ()).values
        found[site] = (values["procrustes_residual"], values["cka_biased"])
    return found


def run() -> str:
    """Assert equal values, time, and return the table."""
    torch.set_num_threads(1)
    base, tuned = llama(2000), llama(2000)
    with torch.no_grad():
        for tensor in tuned.parameters():
            tensor.add_(0.01 * torch.randn_like(tensor))
    generator = torch.Generator().manual_seed(1)
    rows = [tuple(torch.randint(3, 2000, (TOKENS,), generator=generator).tolist()) for _ in range(PROMPTS)]
    sites = usual_sites(base)
    slow, fast = partial(sweeps_one_by_one, (base, tuned), rows, sites), partial(one_sweep, (base, tuned), rows, sites)
    wanted, found = slow(), fast()
    for site in sites:
        torch.testing.assert_close(torch.tensor(found[site]), torch.tensor(wanted[site]), rtol=1e-3, atol=1e-4)
    ways = {"one sweep a module": slow, "one sweep a module, again": slow, "one sweep, moments": fast}
    size = f"{PROMPTS} prompts of {TOKENS} tokens, hidden 256, 4 layers"
    title = f"Activation geometry of {len(sites)} modules, {size} (medians of {REPEATS})"
    return table(title, side_by_side(ways, REPEATS), "one sweep a module")


if __name__ == "__main__":
    print(run())
