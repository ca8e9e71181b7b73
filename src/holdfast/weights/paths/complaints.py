"""What is wrong with the rotations of an adapter folder, in sentences for those who are about to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from holdfast.core.errors import DamagedCheckpoint, IncompatibleUpdate, NotMeasurable
from holdfast.weights.adapter import is_adapter
from holdfast.weights.moving import WEIGHTS, configuration
from holdfast.weights.paths.refusals import tuner_of
from holdfast.weights.paths.rotations import ROUGH_DEFECT, Soundness, orthogonality
from holdfast.weights.paths.sign_trap import Marks, sign_trap, turn_marks
from holdfast.weights.shards import Shards

PROVENANCE: Final = "holdfast.json"
MARKS_KEY: Final = "turn_marks"
WORST: Final = 3
"""How many layers are named."""


def complaints(folder: Path, recorded: Marks | None, *, allow_pickle: bool = False) -> tuple[str, ...]:
    """What is wrong with the rotations of an orthogonal adapter, a sentence each; nothing for any other checkpoint.

    Args:
        folder: An adapter or model folder.
        recorded: The direction in which it was trained to turn, see ``recorded_marks``.
        allow_pickle: Open weights stored as a pickle.

    Raises:
        DamagedCheckpoint: If the folder cannot be read, or does not say which map its rotations are made by.
        UnsafeFile: If its weights are a pickle and ``allow_pickle`` is not set.
    """
    found = _rotations(folder, allow_pickle=allow_pickle)
    if found is None:
        return ()
    tensors, config = found
    try:
        sound = orthogonality(tensors, config)
    except NotMeasurable as reason:
        return (f"nothing is known of its rotations: {reason}",)
    direction = _direction(tensors, config, recorded)
    return (*_unsound(sound), *([] if direction is None else [direction]))


def require_direction(folder: Path, recorded: Marks | None) -> None:
    """Refuse an orthogonal adapter that turns against its record.

    Raises:
        DamagedCheckpoint: If it does, with what to do.
    """
    found = _rotations(folder)
    if found is None or recorded is None:
        return
    try:
        verdict = sign_trap(*found, recorded)
    except (NotMeasurable, IncompatibleUpdate):
        return  # what cannot be told is a complaint, and no reason to refuse
    if verdict.answer == "reversed":
        raise DamagedCheckpoint(f"{folder}: {verdict.sentence}")


def recorded_marks(folder: Path) -> Marks | None:
    """The direction in which an adapter turned when it was written, if its folder holds a record of that.

    Raises:
        DamagedCheckpoint: If there is a record that cannot be read.
    """
    file = folder / PROVENANCE
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8")).get(MARKS_KEY)
        return None if found is None else {str(site): tuple(map(float, marks)) for site, marks in found.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedCheckpoint(
            f"{file} holds no record of the direction that can be read ({error}); take '{MARKS_KEY}' out of it"
        ) from error


def marks_to_record(folder: Path) -> dict[str, Marks]:
    """What ``recorded_marks`` will find, to be written beside other facts; empty where there is no rotation to mark."""
    found = _rotations(folder)
    if found is None:
        return {}
    try:
        marks = turn_marks(*found)
    except NotMeasurable:
        return {}  # what runs is not what the tensors say, and neither would be the record
    return {MARKS_KEY: {site: tuple(float(f"{mark:.6g}") for mark in each) for site, each in marks.items()}}


def _rotations(folder: Path, *, allow_pickle: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    if not is_adapter(folder) or tuner_of(config := configuration(folder)) != "OFT":
        return None
    stored = Shards(folder, single=WEIGHTS, allow_pickle=allow_pickle)
    return {name: stored.tensor(name) for name in stored}, config


def _unsound(sound: Mapping[str, Soundness]) -> list[str]:
    beyond = {site: one.largest for site, one in sound.items() if one.series and one.largest >= 1}
    rough = {site: max(one.defects) for site, one in sound.items() if site not in beyond and one.complaint()}
    found = []
    if beyond:
        found.append(
            f"{_counted(beyond, len(sound))} not a rotation, since the generator reaches 1, from where on the series "
            f"of the Cayley map turns nothing: {_worst(beyond)}; train with use_cayley_neumann=False"
        )
    if rough:
        found.append(
            f"{_counted(rough, len(sound))} a rough rotation, which misses orthogonality by more than {ROUGH_DEFECT}: "
            f"{_worst(rough)}; the repair makes it exact and keeps its angles (repaired in "
            "holdfast.weights.paths.sign_trap)"
        )
    return found


def _direction(tensors: Mapping[str, Tensor], config: Mapping[str, Any], recorded: Marks | None) -> str | None:
    try:
        verdict = sign_trap(tensors, config, recorded)
    except (NotMeasurable, IncompatibleUpdate) as reason:
        return f"whether it turns as it was trained to cannot be told: {reason}"
    return None if verdict.answer == "as recorded" else verdict.sentence


def _counted(some: Mapping[str, float], total: int) -> str:
    return f"{len(some)} of {total} {'layer' if total == 1 else 'layers'} {'is' if len(some) == 1 else 'are each'}"


def _worst(sizes: Mapping[str, float]) -> str:
    worst = sorted(sizes, key=lambda site: -sizes[site])[:WORST]
    listed = ", ".join(f"{site} {sizes[site]:.3g}" for site in worst)
    return f"worst {listed}" if len(worst) < len(sizes) else listed
