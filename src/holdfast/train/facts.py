"""What is measured of every run itself: that it started at the base, moved, and can be saved, reloaded and merged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.algebra.rotation import Rotation, orthogonality_defect
from holdfast.core.errors import DamagedCheckpoint, HoldfastError, NotMeasurable
from holdfast.core.record import Record
from holdfast.models.base import Base
from holdfast.models.identity import identity_of
from holdfast.weights.adapter import is_adapter, read_adapter
from holdfast.weights.contracts import Attachment
from holdfast.weights.loading import checkpoint_on
from holdfast.weights.logits import Inputs, distance, logits_on
from holdfast.weights.update import Update

RELOAD_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Largest difference of logits after a reload, as a share of the largest logit."""


def attached_facts(attachment: Attachment, base_logits: Sequence[Tensor], inputs: Inputs) -> list[Record]:
    """How much is trainable, and how far the fresh attachment is from the base."""
    tensors = attachment.trainable().values()
    return [
        _fact("trainable_params", sum(tensor.numel() for tensor in tensors), ""),
        _fact("trainable_bytes", sum(tensor.numel() * tensor.element_size() for tensor in tensors), "bytes"),
        _fact("start_distance", distance(logits_on(attachment.model, inputs), base_logits), "logits"),
    ]


def trained_facts(attachment: Attachment, base: PreTrainedModel) -> list[Record]:
    """How far the weights have moved, and how far from rotations those that should be are.

    Raises:
        HoldfastError: If nothing has moved.
    """
    try:
        update = attachment.update()
    except NotMeasurable as reason:
        return [Record(subject="run", quantity=name, reason=str(reason)) for name in ("update_norm", "update_norm_rel")]
    norm = update.norm()
    if norm == 0:
        raise HoldfastError("training moved nothing: the update is zero; is anything trainable, and the rate above 0?")
    facts = [_fact("update_norm", norm, ""), _fact("update_norm_rel", norm / _norm_of(base, update), "frac")]
    defects = [orthogonality_defect(change.rotation()) for change in update.values() if isinstance(change, Rotation)]
    return [*facts, _fact("orthogonality_defect", max(defects), "")] if defects else facts


def saved_facts(base: Base, folder: Path, live: Sequence[Tensor], inputs: Inputs) -> list[Record]:
    """That the base is what it was, and that the saved checkpoint, reloaded and merged, answers as the live model did.

    Raises:
        HoldfastError: If the base has changed.
        DamagedCheckpoint: If the reloaded checkpoint answers differently.
    """
    if identity_of(base.model) != base.identity:
        raise HoldfastError("detaching did not give the base back; nothing measured from here on could be trusted")
    with checkpoint_on(folder, base.model) as model:
        reload_difference = distance(logits_on(model, inputs), live)
    largest = max(float(row.abs().max()) for row in live)
    if reload_difference > RELOAD_TOLERANCE[base.model.dtype] * largest:
        raise DamagedCheckpoint(
            f"what was saved in {folder} answers differently when reloaded: logits differ by {reload_difference:.3g}"
        )
    facts = [
        _fact("stored_bytes", sum(file.stat().st_size for file in folder.glob("*.safetensors")), "bytes"),
        _fact("reload_difference", reload_difference, "logits"),
    ]
    if not is_adapter(folder):
        return facts
    try:
        with read_adapter(folder, base.model).added_to(base.model):
            return [*facts, _fact("merge_difference", distance(logits_on(base.model, inputs), live), "logits")]
    except NotMeasurable as reason:
        return [*facts, Record(subject="run", quantity="merge_difference", reason=str(reason))]


def _norm_of(base: PreTrainedModel, update: Update) -> float:
    """Norm of the base's weights that the update moves."""
    weights = dict(base.named_parameters())
    # While an adapter is attached, the weight that it acts on is called base_layer.weight.
    held = {name.replace(".base_layer.", "."): tensor for name, tensor in weights.items()}
    return math.hypot(*(float(torch.linalg.vector_norm(held[name].detach().float())) for name in update))


def _fact(quantity: str, value: float, unit: str) -> Record:
    return Record(subject="run", quantity=quantity, value=float(value), unit=unit)
