"""Is the bound of a certificate ever violated? Smoothed scores at displaced models beside what was certain of them.

    python scripts/basin_bound.py runs/basin-miniature

takes a finished ``holdfast basin`` with fine-tunes. For every ability with a certificate of the mean score on all
weights it moves the base towards each fine-tune, by lengths of ``--sigmas_far`` times the noise of the certificate, and
to the fine-tune itself, and measures there the mean score under that noise over fresh directions. Printed are bound,
measured mean, its limit from above by Student at 99 %, and whether that limit lies below the bound: a violation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from holdfast.cli.resolve import tasks_of
from holdfast.core.basin import BasinMeasurement
from holdfast.core.basin_recipe import BasinRecipe
from holdfast.measure.basin.ability import OfTask, abilities_of
from holdfast.measure.basin.fine_tunes import fine_tune
from holdfast.measure.basin.ways import random_way
from holdfast.metrics.basin.bounds import strong_bound
from holdfast.models.base import Base, open_base
from holdfast.weights.quiet import quiet
from holdfast.weights.update import Update

FRESH = 900_000_000
"""Where the directions begin that are drawn here: those of the measurement itself lie below."""

LIMIT = 0.99


def smoothed(base: Base, ability: OfTask, update: Update, sigma: float, directions: int) -> tuple[float, float]:
    """The mean score under noise around a displaced model, and Student's limit of it from above."""
    with update.added_to(base.model), random_way(base.model).walking() as walk:
        seeds = range(FRESH, FRESH + directions)
        means = [float(np.mean(ability.ask(walk.to(sigma, seed), range(ability.items)))) for seed in seeds]
    error = float(np.std(means, ddof=1)) / directions**0.5
    return float(np.mean(means)), float(np.mean(means)) + float(student.ppf(LIMIT, directions - 1)) * error


def main() -> None:
    """Print a line an ability, fine-tune and length, and how many bounds were violated."""
    said = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    said.add_argument("folder", type=Path, help="folder of a finished holdfast basin")
    said.add_argument("--sigmas_far", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    said.add_argument("--directions", type=int, default=16)
    given = said.parse_args()
    found = BasinMeasurement.model_validate_json((given.folder / "basin.json").read_text(encoding="utf-8"))
    recipe = BasinRecipe.model_validate(found.recipe)
    base = open_base(recipe.model_name_or_path, dtype=recipe.dtype)
    asked = abilities_of(base.model, base.tokenizer, tasks_of(recipe.suite), recipe.split, recipe.items)
    abilities = {ability.name: ability for ability in asked}
    updates = {name: fine_tune(base, name).update for name in recipe.tuned}
    # A certificate is made anew for each fine-tune; what it rests on is the same.
    certificates = {one.ability: one for one in found.certificates if one.about == "score" and one.space == found.space}
    print("| ability | towards | length, sigma | certain | measured | at most | violated |")
    print("|---|---|---:|---:|---:|---:|---|")
    violated = total = 0
    for name, one in certificates.items():
        for tuned, update in updates.items():
            norm = update.norm()
            lengths = [far * one.sigma for far in given.sigmas_far if far * one.sigma < norm]
            for length in (*lengths, norm):
                bound = strong_bound(one.p_lower, length / one.sigma)
                with quiet():
                    mean, most = smoothed(
                        base, abilities[name], update.scaled(length / norm), one.sigma, given.directions
                    )
                total, violated = total + 1, violated + (most < bound)
                row = (f"{length / one.sigma:.3g}", f"{bound:.3f}", f"{mean:.3f}", f"{most:.3f}")
                print(f"| {name} | {tuned} | {' | '.join(row)} | {'YES' if most < bound else 'no'} |", flush=True)
    print(f"\n{violated} of {total} bounds violated")


if __name__ == "__main__":
    main()
