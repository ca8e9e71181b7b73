"""Weight-space geometry of real checkpoints, against an independent implementation and against the public tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from holdfast.algebra.alignment import alignment, best_cosines, intruder_dimensions, matched_alignment
from holdfast.algebra.angles import principal_angles, subspace_distance
from holdfast.algebra.delta import Delta, Dense, Scaled
from holdfast.algebra.fluctuation import fluctuation, relative_fluctuation
from holdfast.algebra.profiles import Profiles, profiles_of
from holdfast.algebra.rank import entropy_rank, singular_values, stable_rank, top_singular_values
from holdfast.algebra.size import relative_size, singular_value_change
from holdfast.algebra.spectrum import Spectrum, spectrum_of
from holdfast.algebra.tuned_spectrum import tuned_spectrum
from holdfast.core.errors import NotMeasurable
from holdfast.weights.adapter import read_adapter
from holdfast.weights.checkpoint import read_full
from holdfast.weights.shards import Shards
from holdfast.weights.update import Update

pytestmark = pytest.mark.real

CHECKPOINTS = ("full", "lora-r8", "oft-b32")
DOWN = "model.layers.18.mlp.down_proj.weight"


class Toy:
    """Base and updates, opened once; spectra of the base in float64."""

    def __init__(self, folder: Path) -> None:
        self.independent = json.loads((folder / "independent.json").read_text(encoding="utf-8"))
        self.printed = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
        model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
        self._base, self._spectra = Shards(folder / "base"), dict[str, Spectrum]()
        self._updates: dict[str, Update] = {"full": read_full(folder / "base", folder / "full")}
        for name in ("lora-r8", "oft-b32"):
            self._updates[name] = read_adapter(folder / name, model)

    def weight(self, name: str) -> Tensor:
        return self._base.tensor(name).double()

    def spectrum(self, name: str) -> Spectrum:
        if name not in self._spectra:
            self._spectra[name] = spectrum_of(self.weight(name))
        return self._spectra[name]

    def change(self, checkpoint: str, name: str) -> Delta:
        """The change of a weight; zero where the update leaves it alone."""
        return self._updates[checkpoint].get(name) or Dense(torch.zeros(self.weight(name).shape))

    def profiles(self, checkpoint: str, name: str) -> Profiles:
        return profiles_of(self.change(checkpoint, name), self.spectrum(name))

    def tuned(self, checkpoint: str, name: str) -> Spectrum:
        return tuned_spectrum(self.weight(name), self.change(checkpoint, name), self.spectrum(name))


@pytest.fixture(scope="module")
def toy(real: Path) -> Toy:
    folder = real / "reference" / "geometry-toy"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    return Toy(folder)


def moved(printed: dict[str, Any]) -> bool:
    return printed["effective_rank"] != 0


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_every_value_of_the_independent_implementation_is_found_again(toy: Toy, checkpoint: str) -> None:
    layers = toy.independent["weights"][checkpoint]
    assert len(layers) == 3
    for layer, wanted in layers.items():
        name = f"{layer}.weight"
        if "undefined" in wanted:
            assert toy.change(checkpoint, name).norm() == 0
            continue
        base, tuned, profiles = toy.spectrum(name), toy.tuned(checkpoint, name), toy.profiles(checkpoint, name)
        values = singular_values(toy.change(checkpoint, name))
        size, change = relative_size(values, base), singular_value_change(base, tuned)
        found: dict[str, float] = {
            "relative_size_frobenius": size.frobenius,
            "relative_size_spectral": size.spectral,
            "stable_rank": stable_rank(values),
            "entropy_rank": entropy_rank(values),
            "fluctuation_scale_free_retention": relative_fluctuation(profiles.retention),
            "fluctuation_scale_free_adaptation": relative_fluctuation(profiles.adaptation),
            "energy_seen": profiles.energy_seen_frac(),
            "energy_perp_norm": profiles.unseen_norm,
            "diagonal_share": profiles.diagonal_frac(),
            "singular_value_change_relative": change.relative,
            "singular_value_change_peak": change.peak,
        }
        for side in ("right", "left"):
            for count in (8, 16):
                angles = principal_angles(base, tuned, count, side)
                found[f"principal_angle_max_{side}_k{count}_rad"] = float(angles[-1])
                found[f"subspace_distance_{side}_k{count}"] = subspace_distance(angles)
        left_to_others = {key for key in wanted if key.startswith("alignment_factor")}
        compared = {key for key, value in wanted.items() if isinstance(value, float)} - left_to_others
        assert compared == set(found)
        assert found == pytest.approx({key: wanted[key] for key in found}, rel=1e-5, abs=1e-12)
        assert list(base.shape) == wanted["shape"]
        assert best_cosines(base, tuned).tolist() == pytest.approx(wanted["best_cosine_left_top10"], rel=1e-5)
        for threshold, count in wanted["intruders_left_k10"].items():
            assert intruder_dimensions(base, tuned, threshold=float(threshold)) == count


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_what_the_public_tools_print_for_every_weight_is_found_again(toy: Toy, checkpoint: str) -> None:
    near, compared = toy.printed["tolerances"]["spectral"], 0
    for name, wanted in toy.printed["spectral"][checkpoint].items():
        if not moved(wanted):
            continue
        profiles, values = toy.profiles(checkpoint, name), singular_values(toy.change(checkpoint, name))
        found = {
            "effective_rank": stable_rank(values),
            "smoothness_retention": fluctuation(profiles.retention),
            "smoothness_adaptation": fluctuation(profiles.adaptation),
            "delta_P_diag_mean": float(profiles.retention.mean()),
            "delta_P_diag_max": float(profiles.retention.max()),
            "E_delta_mean": float(profiles.adaptation.mean()),
            "E_delta_max": float(profiles.adaptation.max()),
        }
        for key, value in found.items():
            assert value == pytest.approx(wanted[key], rel=near[key]), (name, key)
        top = top_singular_values(toy.change(checkpoint, name), 5)
        assert top.tolist() == pytest.approx(wanted["delta_sv_top5"], rel=near["delta_sv"])
        if "sva_mean" in wanted:
            cosines = alignment(toy.spectrum(name), toy.tuned(checkpoint, name))
            assert float(cosines.mean()) == pytest.approx(wanted["sva_mean"], rel=near["sva_mean"])
            assert float(cosines.min()) == pytest.approx(wanted["sva_min"], abs=near["sva_min (absolute)"])
        compared += 1
    assert compared == {"full": 17, "lora-r8": 11, "oft-b32": 15}[checkpoint]


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_the_curves_of_the_public_tools_are_found_again(toy: Toy, checkpoint: str) -> None:
    near, curves = toy.printed["tolerances"]["spectral"], toy.printed["spectral_curves"][checkpoint]
    assert len(curves) == 2
    for name, wanted in curves.items():
        base, profiles = toy.spectrum(name), toy.profiles(checkpoint, name)
        assert base.values.tolist() == pytest.approx(wanted["S_pre"], rel=near["S_pre"])
        retention, adaptation = wanted["delta_P_diag"], wanted["E_delta"]
        loose = near["curve delta_P_diag (absolute, as a share of its maximum)"] * max(retention)
        assert profiles.retention.tolist() == pytest.approx(retention, abs=loose)
        assert (base.values + profiles.signed_retention).tolist() == pytest.approx(wanted["P_diag_ft"], abs=loose)
        loose = near["curve E_delta (absolute, as a share of its maximum)"] * max(adaptation)
        assert profiles.adaptation.tolist() == pytest.approx(adaptation, abs=loose)
        values = singular_values(toy.change(checkpoint, name)).tolist()
        assert values == pytest.approx(wanted["delta_sv"], rel=near["delta_sv"], abs=1e-6 * values[0])
        if "sva_cosines" in wanted:
            cosines = alignment(base, toy.tuned(checkpoint, name))
            assert cosines.tolist() == pytest.approx(wanted["sva_cosines"], abs=near["sva_min (absolute)"])


def test_where_the_public_tools_print_rounding_or_0_for_a_zero_update_we_say_what_is_so(toy: Toy) -> None:
    printed = toy.printed["spectral"]["lora-r8"]
    untouched = [name for name, values in printed.items() if not moved(values)]
    assert len(untouched) == 6
    for name in untouched:
        wanted, profiles = printed[name], toy.profiles("lora-r8", name)
        assert wanted["delta_P_diag_max"] > 1e-7 and wanted["smoothness_retention"] > 1e-8
        assert float(profiles.retention.max()) == 0 and fluctuation(profiles.retention) == 0
        assert wanted["effective_rank"] == 0
        with pytest.raises(NotMeasurable, match="stable rank of a zero update is undefined"):
            stable_rank(singular_values(toy.change("lora-r8", name)))
        for measure in (profiles.energy_seen_frac, profiles.diagonal_frac):
            with pytest.raises(NotMeasurable, match="of a zero update is undefined"):
                measure()
        with pytest.raises(NotMeasurable, match="profile that is 0 throughout"):
            relative_fluctuation(profiles.adaptation)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_the_part_of_a_wide_update_that_the_public_profile_leaves_out_is_stated(toy: Toy, checkpoint: str) -> None:
    shown = sum(value**2 for value in toy.printed["spectral_curves"][checkpoint][DOWN]["E_delta"])
    norm = toy.change(checkpoint, DOWN).norm()
    assert 0.70 < shown / norm**2 < 0.74
    assert shown + toy.profiles(checkpoint, DOWN).unseen_norm ** 2 == pytest.approx(norm**2, rel=1e-4)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_the_public_smoothness_measures_size_and_the_relative_one_does_not(toy: Toy, checkpoint: str) -> None:
    change, base = toy.change(checkpoint, DOWN), toy.spectrum(DOWN)
    whole = profiles_of(change, base)
    for factor in (0.1, 0.01):
        part = profiles_of(Scaled(factor, change), base)
        for one, other in ((part.retention, whole.retention), (part.adaptation, whole.adaptation)):
            assert fluctuation(one) == pytest.approx(factor * fluctuation(other), rel=1e-5)
            assert relative_fluctuation(one) == pytest.approx(relative_fluctuation(other), rel=1e-5)


def test_matching_finds_vectors_that_the_public_alignment_counts_as_lost(toy: Toy) -> None:
    base, tuned = toy.spectrum(DOWN), toy.tuned("lora-r8", DOWN)
    assert float(matched_alignment(base, tuned).mean()) > float(alignment(base, tuned).mean()) + 0.1
