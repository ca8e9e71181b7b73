"""A base with the adapter of a folder on it for a while: the one way in which adapters are read, run and led."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peft import PeftConfig, PeftModel, get_peft_model_state_dict
from torch import nn

from holdfast.core.errors import DamagedCheckpoint, IncompatibleUpdate
from holdfast.weights.bare import Bare, base_name, given_back
from holdfast.weights.merging import update_of
from holdfast.weights.moving import CONFIG, WEIGHTS, configuration, moves_base, require_start
from holdfast.weights.quiet import quiet
from holdfast.weights.shards import Shards
from holdfast.weights.update import Update


@dataclass(frozen=True)
class Borrowed:
    """An adapter on a base.

    Attributes:
        model: The two together, ready to run, unmerged.
        bare: The base as it was.
    """

    model: PeftModel
    bare: Bare

    def update(self) -> Update:
        """What the adapter does to the base as it was, as it stands now: also what it wrote over the base itself.

        Raises:
            NotMeasurable: If the tuner does not act by changing weights.
        """
        return update_of(self.model, self.bare.moves())


@contextmanager
def borrowed(folder: Path, base: nn.Module, *, allow_pickle: bool = False) -> Iterator[Borrowed]:
    """A base with the adapter of a folder on it, unmerged; on leaving, the base is bit for bit what it was.

    Cost: the adapter, and a copy of the base's tensors that its file holds or that loading it moves.

    Args:
        folder: The adapter.
        base: The base it was made from.
        allow_pickle: Open weights stored as a pickle.

    Raises:
        DamagedCheckpoint: If the adapter's files are missing, cut off or do not belong together.
        IncompatibleUpdate: If the adapter was not made for a base of this shape, or for one that is not kept, or there
            is one on it already.
        UnsafeFile: If its weights are a pickle and ``allow_pickle`` is not set.
    """
    if hasattr(base, "peft_config"):
        raise IncompatibleUpdate(
            f"the base has an adapter on it already, and that in {folder} would go on top; leave the walk, or take the "
            "other off first"
        )
    stored = _stored(folder, allow_pickle)
    with given_back(base, map(base_name, stored)) as bare:
        if moves_base(configuration(folder)):
            bare.keep(bare.matrices())
        yield Borrowed(_attached(folder, base, stored).eval(), bare)


def _stored(folder: Path, allow_pickle: bool) -> Shards:
    """The tensors of an adapter that can be put on a base at all."""
    try:
        PeftConfig.from_pretrained(str(folder))
    except (ValueError, TypeError, KeyError) as error:
        raise _odd_configuration(folder, error) from error
    require_start(folder)
    stored = Shards(folder, single=WEIGHTS, allow_pickle=allow_pickle)
    if not len(stored):
        raise DamagedCheckpoint(f"{folder / WEIGHTS} holds no tensors")
    return stored


def _attached(folder: Path, base: nn.Module, stored: Shards) -> PeftModel:
    try:
        with quiet():
            attached = PeftModel.from_pretrained(base, str(folder))
    except (KeyError, TypeError) as error:
        raise _odd_configuration(folder, error) from error
    except (ValueError, RuntimeError) as error:
        raise IncompatibleUpdate(f"the adapter in {folder} does not fit this base model: {error}") from error
    _check_complete(folder, stored, attached)
    return attached


def _odd_configuration(folder: Path, error: Exception) -> DamagedCheckpoint:
    return DamagedCheckpoint(f"{folder / CONFIG} is not an adapter configuration: {error}")


def _check_complete(folder: Path, stored: Shards, attached: PeftModel) -> None:
    """Refuse what peft loads without a word: adapters with tensors missing, or with tensors for other layers."""
    with quiet():
        expected = get_peft_model_state_dict(attached, save_embedding_layers=False)
    held = {expected[name].data_ptr() for name in stored if name in expected}
    lost = sorted(name for name, tensor in expected.items() if name not in stored and tensor.data_ptr() not in held)
    if lost:
        raise DamagedCheckpoint(f"{folder / WEIGHTS} lacks '{lost[0]}' ({len(lost)} in all), which {CONFIG} asks for")
    everything = attached.state_dict()
    odd = sorted(name for name in stored if name not in expected and name not in everything)
    if odd:
        raise IncompatibleUpdate(
            f"the adapter in {folder} holds '{odd[0]}' ({len(odd)} in all), for which this base model has no place"
        )
