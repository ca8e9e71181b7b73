"""All ways back from a finished checkpoint, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.algebra.generator import Clock
from holdfast.core.errors import NotMeasurable, unknown
from holdfast.weights.adapter import is_adapter
from holdfast.weights.moving import configuration
from holdfast.weights.path import DenseLine
from holdfast.weights.paths.adapter import AdapterPath, Points, stored_tensors
from holdfast.weights.paths.borrowed import borrowed, given_back, tied
from holdfast.weights.paths.dense import FolderLine
from holdfast.weights.paths.refusals import off_base, require_fresh_base, require_way_back, tuner_of
from holdfast.weights.paths.rotations import Turning, clocked
from holdfast.weights.paths.starts import Start, starts_of, with_kept
from holdfast.weights.paths.ways import additive_way, own_way
from holdfast.weights.update import Update

CheckpointWay = AdapterPath | DenseLine | FolderLine

NEAR = 2e-5
"""How far from the base a path may start: logits, as a share of the largest, in float32."""

APART = 0.1
"""How much of what an adapter does to logits may be lost where merging moves tied weights: rounding is far below."""

PREFERRED = ("additive", "own", "dense")


def paths_of(
    folder: Path, base: PreTrainedModel, initial: Mapping[str, Tensor] | Path | None = None
) -> dict[str, CheckpointWay | NotMeasurable]:
    """Every path from a base to the checkpoint in a folder, by label, or why it is not there.

    Args:
        folder: An adapter or model folder.
        base: The base it was made from; it is left as it was.
        initial: The adapter's tensors right after it was attached, by stored or live names, or the folder they were
            saved in; for paths whose start cannot be found otherwise.

    Returns:
        ``own``, ``additive``, ``dense``, and for rotations ``cayley_sqrt`` and ``geodesic``.
    """
    ways = _Ways(folder, base, initial)
    found: dict[str, CheckpointWay | NotMeasurable] = {}
    for label in WAYS:
        try:
            found[label] = ways.lead(label)
        except NotMeasurable as reason:
            found[label] = reason
    return found


def path_of(
    folder: Path, base: PreTrainedModel, label: str, initial: Mapping[str, Tensor] | Path | None = None
) -> CheckpointWay:
    """The path of one label from a base to the checkpoint in a folder; arguments as in `paths_of`.

    Raises:
        NotMeasurable: If there is no such path, with the reason.
    """
    if label not in WAYS:
        raise NotMeasurable(unknown("path", label, tuple(WAYS)))
    return _Ways(folder, base, initial).lead(label)


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

    def __init__(self, folder: Path, base: PreTrainedModel, initial: Mapping[str, Tensor] | Path | None) -> None:
        self.folder, self.base = Path(folder), base
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
            return WAYS[label](self)
        if label != "dense":
            raise NotMeasurable(
                f"the path '{label}' leads to adapters, and {self.folder} is a full model: take 'dense'"
            )
        return FolderLine(self.folder, self.base)

    def own(self) -> AdapterPath:
        require_fresh_base(self.config)
        return self._anchored("own", own_way(self.final, self.starts))

    def additive(self) -> AdapterPath:
        return self._anchored("additive", additive_way(self.final, self.starts, self.config))

    def dense(self) -> DenseLine:
        with borrowed(self.folder, self.base) as adapter:
            update, tuned = adapter.update(), _answers(adapter.model)
        if not update:
            raise NotMeasurable(f"the dense line to {self.folder}: merging this adapter moves no weight")
        apart = next((names for names in tied(self.base) if not update.keys().isdisjoint(names)), None)
        if apart and not _reaches(update, self.base, tuned):
            raise NotMeasurable(
                f"the dense line to {self.folder}: '{apart[0]}' and '{apart[1]}' are one weight of the base, and the "
                "adapter moves them apart"
            )
        return DenseLine(update)

    def turning(self, label: str, clock: Clock) -> AdapterPath:
        Turning.of(self.config)
        starts = self.starts  # found now: on a walk, the base is not bare

        def begun(name: str) -> Tensor | None:
            return starts[name].value if starts[name].trained else self.final[name]

        def points(t: float) -> dict[str, Tensor]:
            return clocked(self.final, t, clock, config=self.config, begun=begun)

        return self._anchored(label, points)

    def _anchored(self, label: str, points: Points) -> AdapterPath:
        """The path, once it is seen to start at the base."""
        path = AdapterPath(self.folder, self.base, label, points)
        distance = _distance_from_base(path, self.base)
        if distance > _allowed(self.base):
            raise NotMeasurable(
                f"{off_base(label, tuner_of(self.config).lower())}, logits by {distance:.2g} of the largest; "
                "another path may be there"
            )
        return path


WAYS: Mapping[str, Callable[[_Ways], CheckpointWay]] = {
    "own": _Ways.own,
    "additive": _Ways.additive,
    "dense": _Ways.dense,
    "cayley_sqrt": lambda ways: ways.turning("cayley_sqrt", "sqrt"),
    "geodesic": lambda ways: ways.turning("geodesic", "geodesic"),
}


def _distance_from_base(path: AdapterPath, base: PreTrainedModel) -> float:
    """How far logits at 0 are from those of the bare base, as a share of the largest."""
    with given_back(base):
        wanted = _answers(base.eval())
    with path.walk(base) as bring:
        found = _answers(bring(0))
    return float((found - wanted).abs().max() / wanted.abs().max())


def _answers(model: nn.Module) -> Tensor:
    """Logits of a model for a few tokens from all over its vocabulary."""
    embedding = model.get_input_embeddings().weight  # type: ignore[operator]
    tokens = torch.linspace(0, embedding.shape[0] - 1, 16, device=embedding.device).long()[None]
    with torch.inference_mode():
        logits: Tensor = model(input_ids=tokens).logits.float()
    return logits


def _allowed(base: PreTrainedModel) -> float:
    # Half precision rounds at every layer what a path puts in and takes out again.
    return max(NEAR, 8 * torch.finfo(base.dtype).eps) if base.dtype.itemsize < 4 else NEAR


def _reaches(update: Update, base: PreTrainedModel, tuned: Tensor) -> bool:
    """Whether the base with an update answers as the tuned model, but for rounding."""
    if not update.keys() <= dict(base.named_parameters()).keys():
        return False
    with given_back(base):
        before = _answers(base.eval())
        with update.added_to(base):
            merged = _answers(base)
    return float((merged - tuned).norm()) <= APART * float((tuned - before).norm())
