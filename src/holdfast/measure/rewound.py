"""A point of a path as an ordinary checkpoint on disk, and the proof that it is that point."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from holdfast.core.errors import DamagedCheckpoint, ModelNotFound, NotMeasurable
from holdfast.models.base import Base, located
from holdfast.weights.loading import checkpoint_on
from holdfast.weights.logits import Inputs, distance, logits_on
from holdfast.weights.path import DenseLine, Walkable
from holdfast.weights.paths.adapter import AdapterPath
from holdfast.weights.paths.checkpoints import CheckpointPath
from holdfast.weights.paths.dense import FolderLine, write_sum

EXACT = 1e-5
"""Largest difference of logits after a reload in float32, as a share of the largest logit."""

ROUNDED = 8
"""The same in half precision, in units of its rounding: weights are rounded once more on the way to the disk."""

TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Question: what is 17 + 25? Answer: 42",
    "1 2 3 4 5 6 7 8 9 10",
)
"""What the written checkpoint is asked, and the point that it should be."""


def write_point(path: Walkable, t: float, folder: Path, base: Base) -> float:
    """Write a point of a path as a checkpoint, load it again, and see that it says what the point says.

    An adapter stays an adapter in the same files; a full model is written tensor by tensor in the files of the tuned
    one, and so is an adapter on its dense line, in the files of the base.

    Args:
        path: The path.
        t: The point.
        folder: Where it goes; there must be nothing yet.
        base: The base; its model is borrowed.

    Returns:
        Largest difference of logits between what was read back and the point, as a share of the largest.

    Raises:
        DamagedCheckpoint: If what was read back says something else; nothing is left on disk then.
        ModelNotFound: If a full model is to be written and the base has no files to write it by.
        NotMeasurable: If points of the path are not written, because they lie on disk already.
        FileExistsError: If there is something under that name already.
    """
    inputs = _inputs(base.tokenizer, base.model.device)
    with path.walk(base.model) as bring:
        wanted = logits_on(bring(t), inputs)
    _write(path, t, folder, base)
    with checkpoint_on(folder, base.model) as model:
        found = distance(logits_on(model, inputs), wanted) / max(float(row.abs().max()) for row in wanted)
    if found > _allowed(base.model.dtype):
        shutil.rmtree(folder)
        raise DamagedCheckpoint(
            f"what was written to {folder} does not answer as the point at {t:g} of the path '{path.label}' does: "
            f"logits differ by {found:.2g} of the largest; it was removed"
        )
    return found


def _write(path: Walkable, t: float, folder: Path, base: Base) -> None:
    if isinstance(path, AdapterPath | FolderLine):
        path.write(t, folder)
        return
    if isinstance(path, CheckpointPath):
        raise NotMeasurable("a saved checkpoint is on disk already: copy its folder")
    assert isinstance(path, DenseLine), "there are no other paths"
    files = Path(located(base.name))
    if not files.is_dir():
        raise ModelNotFound(
            f"the dense line of an adapter is written in the files of its base, and '{base.name}' is no folder: "
            "download it and give its folder, or take a path that stays an adapter"
        )
    write_sum(files, path.at(t), folder)


def _allowed(dtype: torch.dtype) -> float:
    return EXACT if dtype.itemsize >= 4 else ROUNDED * torch.finfo(dtype).eps


def _inputs(tokenizer: PreTrainedTokenizerBase, device: torch.device) -> Inputs:
    return tuple(tokenizer(text, return_tensors="pt")["input_ids"].to(device) for text in TEXTS)
