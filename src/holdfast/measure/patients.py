"""From folders to what a diagnosis looks at: a base, an update of it, and the weights between the two."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from holdfast.core.errors import DamagedCheckpoint, IncompatibleUpdate, ModelNotFound, NotMeasurable
from holdfast.measure.diagnose import Patient, require_floating
from holdfast.measure.points import Checkpoint
from holdfast.models.base import Base, located
from holdfast.store.spectra import Spectra, cache_folder
from holdfast.weights.adapter import form_of, is_adapter, read_adapter
from holdfast.weights.checkpoint import read_full
from holdfast.weights.shards import Shards


def patient(base: str, tuned: Path, opened: Base | None, *, allow_pickle: bool = False) -> Patient:
    """The base and the update that a folder makes to it.

    Args:
        base: The base, as the user named it.
        tuned: An adapter or a full model folder.
        opened: The base in memory; two full checkpoints do without.
        allow_pickle: Open weights stored as pickles.

    Raises:
        IncompatibleUpdate: If the two do not belong together.
        DamagedCheckpoint: If a file is missing or cut off.
        UnsafeFile: If weights are pickles and ``allow_pickle`` is not set.
        NotMeasurable: If one of them is quantised.
        ModelNotFound: If a full checkpoint is to be compared with a base that is no folder.
    """
    if is_adapter(tuned):
        assert opened is not None, "adapters are read on their base"
        return _of_adapter(base, tuned, opened.model, allow_pickle)
    folder = Path(located(base))
    if not folder.is_dir():
        raise ModelNotFound(
            f"there is no folder '{base}': a full checkpoint is compared with the files of its base; download them "
            "and give their folder"
        )
    for each in (folder, tuned):
        _check_quantisation(each)
    _check_vocabularies(folder, tuned)
    before, after = (Shards(each, allow_pickle=allow_pickle) for each in (folder, tuned))
    update = read_full(folder, tuned, allow_pickle=allow_pickle)
    codes = {name for held in (before, after) for name in held if not held.is_floating(name)}
    for name in sorted(codes):
        if name.endswith("weight"):
            require_floating(name, before.tensor(name).dtype)
            require_floating(name, after.tensor(name).dtype)
    return Patient(
        base=base,
        tuned=str(tuned),
        form="full checkpoint",
        # What is left of them are tables of positions and masks, which are stored with weights and are none.
        update=update.only(lambda name: name not in codes),
        weight=before.tensor,
        params=sum(prod(before.shape(name)) for name in before if name not in codes),
        spectrum=Spectra(cache_folder()).of,
        model=None if opened is None else opened.model,
        point=None if opened is None else Checkpoint(tuned, allow_pickle=allow_pickle),
    )


def _of_adapter(base: str, tuned: Path, model: PreTrainedModel, allow_pickle: bool) -> Patient:
    # Both names of a weight that is tied: an adapter may stand on either.
    weights = dict(model.named_parameters(remove_duplicate=False))
    for name, tensor in weights.items():
        require_floating(name, tensor.dtype)
    form = form_of(tuned)
    update = read_adapter(tuned, model, allow_pickle=allow_pickle)
    return Patient(
        base=base,
        tuned=str(tuned),
        form=form,
        update=update,
        weight=lambda name: weights[name].detach(),
        params=model.num_parameters(),
        spectrum=Spectra(cache_folder()).of,
        model=model,
        point=Checkpoint(tuned, allow_pickle=allow_pickle),
    )


def _check_vocabularies(base: Path, tuned: Path) -> None:
    before, after = (_config(folder).get("vocab_size") for folder in (base, tuned))
    if before is not None and after is not None and before != after:
        raise IncompatibleUpdate(
            f"{base} knows {before} tokens and {tuned} {after}, so their embeddings cannot be compared; resize those "
            "of the base to the vocabulary of the tuned model, and compare with that"
        )


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise DamagedCheckpoint(f"{file} is not JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def _check_quantisation(folder: Path) -> None:
    found = _config(folder).get("quantization_config")
    if found:
        raise NotMeasurable(
            f"{folder} is quantised ({found.get('quant_method', 'method not named')}), and its tensors are codes of "
            "weights: diagnose the model as it was before quantisation, or write both models out in bfloat16 first"
        )
