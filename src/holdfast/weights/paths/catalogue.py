"""All ways back from a finished checkpoint, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.algebra.generator import Clock
from holdfast.core.diagnosis import Diagnosis
from holdfast.core.errors import NotMeasurable, unknown
from holdfast.weights.adapter import is_adapter
from holdfast.weights.borrowed import borrowed
from holdfast.weights.moving import configuration
from holdfast.weights.path import DenseLine
from holdfast.weights.paths.adapter import AdapterPath, stored_tensors
from holdfast.weights.paths.dense import FolderLine
from holdfast.weights.paths.ends import require_base_at_start
from holdfast.weights.paths.layerwise import Levelling
from holdfast.weights.paths.levelled import (
    Levelled,
    LevelledAdapter,
    LevelledFolder,
    LevelledLine,
    factor_points,
    turned_points,
)
from holdfast.weights.paths.refusals import require_fresh_base, require_way_back, tuner_of
from holdfast.weights.paths.rotations import Turning, clocked, site_of
from holdfast.weights.paths.starts import Start, starts_of, with_kept
from holdfast.weights.paths.strengths import Rule, Strengths, drift_strengths, size_strengths, turn_strengths
from holdfast.weights.paths.ways import additive_way, own_way
from holdfast.weights.update import Update

Led = TypeVar("Led", bound=AdapterPath)
CheckpointWay = AdapterPath | DenseLine | FolderLine

UNMEASURED = (
    "the path 'drift' levels how far outputs move on general prompts, and nobody says how far they do: measure it with "
    "holdfast diagnose BASE TUNED --general PROMPTS, and give its diagnosis.json (--drift)"
)

PREFERRED = ("additive", "own", "dense")


def paths_of(
    folder: Path,
    base: PreTrainedModel,
    initial: Mapping[str, Tensor] | Path | None = None,
    drift: Diagnosis | None = None,
) -> dict[str, CheckpointWay | NotMeasurable]:
    """Every path from a base to the checkpoint in a folder, by label, or why it is not there.

    Args:
        folder: An adapter or model folder.
        base: The base it was made from; it is left as it was.
        initial: The adapter's tensors right after it was attached, by stored or live names, or the folder they were
            saved in; for paths whose start cannot be found otherwise.
        drift: A diagnosis of the checkpoint on general prompts; for the path that levels drift.

    Returns:
        ``own``, ``additive``, ``dense``; for rotations ``cayley_sqrt`` and ``geodesic``; and those on which layers are
        levelled, ``safe_scale``, ``min_scale`` and ``drift``, which pass their layer-wise point at
        ``levelling.level_t`` and end at the checkpoint as all others do.
    """
    ways = _Ways(folder, base, initial, drift)
    found: dict[str, CheckpointWay | NotMeasurable] = {}
    for label in WAYS:
        try:
            found[label] = ways.lead(label)
        except NotMeasurable as reason:
            found[label] = reason
    return found


def path_of(
    folder: Path,
    base: PreTrainedModel,
    label: str,
    initial: Mapping[str, Tensor] | Path | None = None,
    drift: Diagnosis | None = None,
) -> CheckpointWay:
    """The path of one label from a base to the checkpoint in a folder; arguments as in `paths_of`.

    Raises:
        NotMeasurable: If there is no such path, with the reason.
    """
    if label not in WAYS:
        raise NotMeasurable(unknown("path", label, tuple(WAYS)))
    return _Ways(folder, base, initial, drift).lead(label)


def default_path(
    folder: Path, base: PreTrainedModel, initial: Mapping[str, Tensor] | Path | None = None
) -> CheckpointWay:
    """The path to be taken where nobody asks for another; arguments as in `paths_of`.

    The additive path where the change is linear in a factor, which is the dense line in the form of an adapter; the
    method's own path elsewhere; the dense line for full models and for adapters that have neither.

    Raises:
        NotMeasurable: If there is none, with the reasons.
    """
    ways, reasons = _Ways(folder, base, initial), []
    for label in PREFERRED:
        try:
            return ways.lead(label)
        except NotMeasurable as reason:
            reasons.append(f"{label}: {reason}")
    raise NotMeasurable("\n".join([f"no path leads from the base to {folder}", *reasons]))


class _Ways:
    """What the paths of one checkpoint share; each part is worked out when a path first needs it."""

    def __init__(
        self,
        folder: Path,
        base: PreTrainedModel,
        initial: Mapping[str, Tensor] | Path | None,
        drift: Diagnosis | None = None,
    ) -> None:
        self.folder, self.base, self.drift = Path(folder), base, drift
        self.initial = stored_tensors(initial) if isinstance(initial, Path) else initial

    @cached_property
    def config(self) -> dict[str, Any]:
        return configuration(self.folder)

    @cached_property
    def final(self) -> dict[str, Tensor]:
        return stored_tensors(self.folder)

    @cached_property
    def starts(self) -> dict[str, Start]:
        known = starts_of(self.folder, self.base)
        return known if self.initial is None else with_kept(known, self.initial, self.folder)

    def lead(self, label: str) -> CheckpointWay:
        """The path of a label.

        Raises:
            NotMeasurable: If there is none.
        """
        if is_adapter(self.folder):
            require_way_back(self.config)
        elif label not in IN_WEIGHTS:
            raise NotMeasurable(
                f"the path '{label}' leads to adapters, and {self.folder} is a full model: take one of "
                f"{', '.join(IN_WEIGHTS)}"
            )
        return WAYS[label](self)

    def own(self) -> AdapterPath:
        require_fresh_base(self.config)
        return self._anchored(AdapterPath(self.folder, self.base, "own", own_way(self.final, self.starts)))

    def additive(self) -> AdapterPath:
        points = additive_way(self.final, self.starts, self.config)
        return self._anchored(AdapterPath(self.folder, self.base, "additive", points))

    def dense(self) -> DenseLine | FolderLine:
        if not is_adapter(self.folder):
            return FolderLine(self.folder, self.base)
        with borrowed(self.folder, self.base) as adapter:
            update = adapter.update()
        if not update:
            raise NotMeasurable(f"the dense line to {self.folder}: merging this adapter moves no weight")
        if update.apart:
            one, other = update.apart[0]
            raise NotMeasurable(
                f"the dense line to {self.folder}: '{one}' and '{other}' are one weight of the base, and the adapter "
                "moves them apart"
            )
        return DenseLine(update)

    def turning(self, label: str, clock: Clock) -> AdapterPath:
        Turning.of(self.config)
        begun = self._begun()

        def points(t: float) -> dict[str, Tensor]:
            return clocked(self.final, t, clock, config=self.config, begun=begun)

        return self._anchored(AdapterPath(self.folder, self.base, label, points))

    def levelled(self, label: str, rule: Rule) -> Levelled:
        strengths: Strengths | None = None
        if label == "drift":
            if self.drift is None:
                raise NotMeasurable(UNMEASURED)
            strengths = drift_strengths(self.drift)
        if not is_adapter(self.folder):
            levelling = self._by_size(FolderLine(self.folder, self.base).at(1.0), rule, strengths)
            return LevelledFolder(self.folder, self.base, label, levelling)
        if tuner_of(self.config) == "OFT":
            return self._anchored(self._by_generator(label, rule, strengths))
        try:
            additive_way(self.final, self.starts, self.config)
        except NotMeasurable:
            update = self.dense().at(1.0)
            return LevelledLine(update, label, self._by_size(update, rule, strengths))
        with borrowed(self.folder, self.base) as adapter:
            update = adapter.update()
        levelling = self._by_size(update, rule, strengths)
        points = factor_points(self.final, self.starts, self.config, levelling)
        return self._anchored(LevelledAdapter(self.folder, self.base, label, points, levelling))

    def _by_generator(self, label: str, rule: Rule, strengths: Strengths | None) -> LevelledAdapter:
        Turning.of(self.config)
        strengths = turn_strengths(self.final, self.config) if strengths is None else strengths
        lengths = {name: float(q.norm(dtype=torch.float64)) for name, q in self.final.items() if site_of(name)}
        levelling = Levelling.of(strengths, lengths, rule)
        points = turned_points(self.final, levelling, self.config, self._begun())
        return LevelledAdapter(self.folder, self.base, label, points, levelling)

    def _by_size(self, update: Update, rule: Rule, strengths: Strengths | None) -> Levelling:
        lengths = {name: change.norm() for name, change in update.items()}
        if strengths is None:
            strengths = size_strengths(lengths, dict(self.base.named_parameters(remove_duplicate=False)))
        return Levelling.of(strengths, lengths, rule)

    def _begun(self) -> Callable[[str], Tensor | None]:
        """What tensors were before training, found now: on a walk, the base is not bare."""
        starts = self.starts
        return lambda name: starts[name].value if starts[name].trained else self.final[name]

    def _anchored(self, path: Led) -> Led:
        """The path, once it is seen to start at the base."""
        require_base_at_start(path, self.base, tuner_of(self.config))
        return path


WAYS: Mapping[str, Callable[[_Ways], CheckpointWay]] = {
    "own": _Ways.own,
    "additive": _Ways.additive,
    "dense": _Ways.dense,
    "cayley_sqrt": lambda ways: ways.turning("cayley_sqrt", "sqrt"),
    "geodesic": lambda ways: ways.turning("geodesic", "geodesic"),
    "safe_scale": lambda ways: ways.levelled("safe_scale", "safe"),
    "min_scale": lambda ways: ways.levelled("min_scale", "min"),
    "drift": lambda ways: ways.levelled("drift", "min"),
}
IN_WEIGHTS = ("dense", "safe_scale", "min_scale", "drift")
"""Paths that lead to full models too."""
