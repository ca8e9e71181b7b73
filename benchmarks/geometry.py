"""Geometry of updates: the public tools' algorithm written out plainly, against forms and one sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from transformers import PreTrainedModel

from benchmarks.harness import Timed, llama, side_by_side, table
from holdfast.algebra.alignment import alignment
from holdfast.algebra.delta import Delta, Dense
from holdfast.algebra.fluctuation import fluctuation
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.profiles import profiles_of
from holdfast.algebra.rank import singular_values, stable_rank, top_singular_values
from holdfast.algebra.rotation import Rotation
from holdfast.algebra.similarity import similarity
from holdfast.algebra.spectrum import Spectrum, spectrum_of
from holdfast.algebra.tuned_spectrum import tuned_spectrum
from holdfast.probes.gathered import paired_moments
from holdfast.probes.sites import usual_sites
from holdfast.probes.sweep import sweep
from holdfast.probes.tokens import TokenChoice

SIZE, RANK, BLOCK = 1024, 8, 32
PROMPTS, TOKENS = 48, 48
REPEATS = 3

Profile = tuple[Tensor, Tensor, float]


def plain_profile(weight: Tensor, tuned: Tensor) -> Profile:
    """Retention and adaptation profile and stable rank from two dense models: two decompositions, three products."""
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    retention = ((left.T @ tuned @ right.T).diagonal() - values).abs()
    change = tuned - weight
    adaptation = torch.linalg.vector_norm(change @ right.T, dim=0)
    strongest = torch.linalg.svd(change, full_matrices=False)[1][0]
    return retention, adaptation, float(change.norm() ** 2 / strongest**2)


def our_profile(base: Spectrum, change: Delta) -> Profile:
    """The same from the form of the change, with the spectrum of the base at hand."""
    found = profiles_of(change, base)
    dense = isinstance(change, Dense)
    values = top_singular_values(change, 5) if dense else singular_values(change)
    return found.retention, found.adaptation, stable_rank(values, change.norm())


def plain_alignment(weight: Tensor, tuned: Tensor) -> Tensor:
    """Singular vector alignment by two decompositions."""
    before, after = (torch.linalg.svd(matrix, full_matrices=False)[2] for matrix in (weight, tuned))
    cosines: Tensor = (before * after).sum(1).abs()
    return cosines


def our_alignment(weight: Tensor, base: Spectrum, change: Delta) -> Tensor:
    """The same without a second one."""
    return alignment(base, tuned_spectrum(weight, change, base))


@torch.no_grad()
def sweeps_one_by_one(
    models: Sequence[PreTrainedModel], rows: Sequence[tuple[int, ...]], sites: Sequence[str]
) -> dict[str, tuple[float, float]]:
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


def one_sweep(
    models: Sequence[PreTrainedModel], rows: Sequence[tuple[int, ...]], sites: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """The same, and all other measures, from one sweep of each model."""
    choice = TokenChoice(tokens=None)
    taken = [sweep(model, rows, sites, choice=choice) for model in models]
    found = {}
    for site, groups in paired_moments(*taken).items():
        values = similarity(groups[0], ()).values
        found[site] = (values["procrustes_residual"], values["cka_biased"])
    return found


def run() -> str:
    """Assert equal values, time, and return the tables."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    weight = torch.randn(SIZE, SIZE) / SIZE**0.5
    base = spectrum_of(weight)
    low_rank = LowRank(0.02 * torch.randn(SIZE, RANK), torch.randn(RANK, SIZE) / SIZE**0.5)
    full = Dense(0.01 * torch.randn(SIZE, SIZE) / SIZE**0.5 + low_rank.dense())
    generator = 0.05 * torch.randn(SIZE // BLOCK, BLOCK, BLOCK)
    turn = Rotation(weight, generator - generator.mT)
    tables = [
        _profiles(weight, base, low_rank, f"low rank, r {RANK}"),
        _profiles(weight, base, full, "full rank"),
        _alignments(weight, base, turn),
        _activations(),
    ]
    return "\n".join(tables)


def _profiles(weight: Tensor, base: Spectrum, change: Delta, what: str) -> str:
    tuned = weight + change.dense()
    slow, fast = partial(plain_profile, weight, tuned), partial(our_profile, base, change)
    for one, other in zip(slow(), fast(), strict=True):
        torch.testing.assert_close(torch.as_tensor(other), torch.as_tensor(one), rtol=1e-3, atol=2e-6)
    assert fluctuation(fast()[1]) > 0
    title = f"Profiles and stable rank of an update, {what}, {SIZE} x {SIZE}, spectrum of the base cached"
    return _table(title, "two decompositions", slow, "from its form", fast)


def _alignments(weight: Tensor, base: Spectrum, change: Rotation) -> str:
    tuned = weight + change.dense()
    slow, fast = partial(plain_alignment, weight, tuned), partial(our_alignment, weight, base, change)
    # Directions of nearly equal values are chance in either decomposition: the well separated ones are compared.
    torch.testing.assert_close(fast()[:8], slow()[:8], rtol=1e-2, atol=1e-2)
    title = f"Alignment of singular vectors after a rotation in blocks of {BLOCK}, {SIZE} x {SIZE}"
    return _table(title, "two decompositions", slow, "turned directions", fast)


def _activations() -> str:
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
    title = f"Activation geometry of {len(sites)} modules, {PROMPTS} prompts of {TOKENS} tokens, hidden 256, 4 layers"
    return _table(title, "one sweep a module", slow, "one sweep, moments", fast)


def _table(title: str, plain: str, slow: Callable[[], object], ours: str, fast: Callable[[], object]) -> str:
    times: dict[str, Timed] = side_by_side({plain: slow, f"{plain}, again": slow, ours: fast}, REPEATS)
    return table(title, times, plain)
