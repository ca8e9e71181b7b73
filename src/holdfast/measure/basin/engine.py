"""A measurement of basins from end to end: out along every way, and back to the very weights it began with."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from holdfast.core.basin import BasinMeasurement
from holdfast.core.basin_recipe import BasinRecipe
from holdfast.core.errors import NotMeasurable
from holdfast.measure.basin.ability import Ability, OfTask
from holdfast.measure.basin.asked import Notebook
from holdfast.measure.basin.curves import Tick, check_forms
from holdfast.measure.basin.findings import Findings
from holdfast.measure.basin.fine_tunes import FineTune, fine_tune, own_scores, without_b
from holdfast.measure.basin.inputs import robustness
from holdfast.measure.basin.outing import Outing
from holdfast.measure.basin.ways import adapter_way
from holdfast.models.base import Base
from holdfast.models.identity import identity_of
from holdfast.weights.adapter import read_adapter
from holdfast.weights.adapter_rays import displacement_of_b
from holdfast.weights.borrowed import Borrowed, borrowed


def measure_basin(
    base: Base,
    abilities: Sequence[Ability],
    recipe: BasinRecipe | None = None,
    *,
    folder: Path | None = None,
    tick: Tick = lambda what: None,
) -> BasinMeasurement:
    """How far a model can be moved before each ability breaks, and whether fine-tunes went further.

    Args:
        base: The base; its weights are bit for bit what they were afterwards.
        abilities: What it can do; of the recipe, ``suite``, ``split`` and ``items`` play no part here.
        recipe: How far, where to, and how sure.
        folder: Where scores are kept, so that a measurement that was killed goes on; in memory without one.
        tick: For progress.

    Returns:
        All that was found.

    Raises:
        NotMeasurable: If weights are quantised that are to be moved, a certificate is asked for that is no theorem, or
            a fine-tune does not differ from its base.
        UnknownName: If there is no such certificate.
        BadData: If a task grades an answer outside of [0, 1].
        ValueError: If a function scores an item outside of [0, 1].
        IncompatibleUpdate: If a fine-tune was made from another base.
        DamagedCheckpoint: If a file is missing or cut off.
        UnsafeFile: If weights are pickles and the recipe does not allow them.
    """
    recipe = recipe or BasinRecipe()
    check_forms(recipe.certificates)
    pickles = recipe.allow_pickle
    start = None
    # Noise on B alone needs nothing merged, so that the base may be quantised.
    if recipe.adapter is not None and set(recipe.directions) != {"adapter"}:
        start = read_adapter(Path(recipe.adapter), base.model, allow_pickle=pickles)
    tuned = [fine_tune(base, name, start, allow_pickle=pickles) for name in recipe.tuned]
    findings = Findings(base)
    graded = [ability for ability in abilities if not ability.smooth]
    # Fine-tunes stand on the bare base, so that they are asked before anything is merged into it.
    own = {(each.name, one.name): own_scores(each, base, one, folder) for each in tuned for one in graded}
    with nullcontext() if start is None else start.added_to(base.model):
        notebook = Notebook(base.identity if start is None else identity_of(base.model), folder)
        outing = Outing(abilities, recipe, notebook, findings, tick)
        if "random" in recipe.directions:
            outing.random(tuned, own)
        if "worst" in recipe.directions:
            outing.worst()
        for each in tuned:
            outing.toward(each)
        if "per-layer" in recipe.directions:
            outing.layers()
        asked = [ability for ability in graded if isinstance(ability, OfTask)]
        robustness(base.model, asked, recipe, notebook, findings, tick)
    if "adapter" in recipe.directions:
        for name in _adapters(recipe, tuned, findings):
            _in_adapter(name, abilities, recipe, folder, tuned, findings, tick)
    return findings.written(recipe.tau, recipe.model_dump(mode="json"))


def _adapters(recipe: BasinRecipe, tuned: Sequence[FineTune], findings: Findings) -> list[str]:
    """The adapters whose B is moved: the one that is measured, or every fine-tune that is one."""
    if recipe.adapter is not None:
        return [recipe.adapter]
    findings.note(
        f"{each.name} is no adapter, so that there is no noise on its B" for each in tuned if not each.is_adapter
    )
    return [each.name for each in tuned if each.is_adapter]


def _in_adapter(
    name: str,
    abilities: Sequence[Ability],
    recipe: BasinRecipe,
    folder: Path | None,
    tuned: Sequence[FineTune],
    findings: Findings,
    tick: Tick,
) -> None:
    """The space that tunings of B reach: around the adapter that is measured, or around the base for a fine-tune."""
    with borrowed(Path(name), findings.base.model, allow_pickle=recipe.allow_pickle) as held:
        try:
            adapter = held.model if name == recipe.adapter else without_b(held)
            way = adapter_way(adapter, name)
        except NotMeasurable as reason:
            findings.note([f"{name}: {reason}"])
            return
        notebook = Notebook(identity_of(adapter), folder)
        Outing(abilities, recipe, notebook, findings, tick).adapter(
            way, _reach(name, held, recipe, tuned, findings), name
        )


def _reach(
    name: str, held: Borrowed, recipe: BasinRecipe, tuned: Sequence[FineTune], findings: Findings
) -> float | None:
    """How far the fine-tune of interest is away in the space of B: the first one that lies in it."""
    for each in tuned if name == recipe.adapter else [each for each in tuned if each.name == name]:
        try:
            return displacement_of_b(each.update, held.model)
        except NotMeasurable as reason:
            findings.note([f"{each.name}, in the space of the B of {name}: {reason}"])
    return None
