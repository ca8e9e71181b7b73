"""Isolation in anybody's trainer: one callback, whatever is trained, from a full model to an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from holdfast.core.errors import DamagedCheckpoint, NotMeasurable
from holdfast.methods.isolation.isolation import Isolation
from holdfast.methods.isolation.method import Isolating
from holdfast.store.files import read_tensors, write_tensors, write_text
from holdfast.weights.material import Material

COURSE = "isolation.json"


def isolating(
    method: Isolating, *, material: Material | None = None, resume_from: str | Path | None = None
) -> IsolationCallback:
    """An ordinary ``TrainerCallback`` that holds scalars of whatever a Hugging Face or TRL trainer trains.

    Three lines in a script that stays as it is::

        from holdfast.methods.epi import Epi
        from holdfast.train import isolating
        trainer = SFTTrainer(..., callbacks=[isolating(Epi(ratio=0.01))])

    The state of the isolation is saved in every checkpoint folder of the trainer and taken up on resuming; how the
    choice went is in ``isolation.json`` of the output folder in the end.

    Args:
        method: Which scalars are held.
        material: Examples of what the model already knows, for methods that look at them.
        resume_from: The folder that is resumed from, where it does not lie in the trainer's output folder.
    """
    return IsolationCallback(method, material or Material(), resume_from)


class IsolationCallback(TrainerCallback):
    """Isolates when training begins, saves with every checkpoint, and lets go when training is over."""

    def __init__(self, method: Isolating, material: Material, resume_from: str | Path | None) -> None:
        self._method, self._material, self._resume_from = method, material, resume_from
        self._isolation: Isolation | None = None

    @property
    def isolation(self) -> Isolation:
        """The isolation at work.

        Raises:
            NotMeasurable: Before training has begun.
        """
        if self._isolation is None:
            raise NotMeasurable(f"{self._method.spec()} holds nothing yet: its training has not begun")
        return self._isolation

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._isolation = self._method.isolate(
            kwargs["model"], kwargs["optimizer"], steps=state.max_steps, material=self._material
        )
        if state.global_step:
            folder = Path(self._resume_from or Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")
            self._isolation.load_state_dict(_read(folder))

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.isolation.state_dict().items()}
        write_tensors(folder / _file(), tensors)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        model: nn.Module = kwargs["model"]
        params = sum(tensor.numel() for tensor in model.parameters())
        course = self.isolation.course(self._method.spec(), params)
        self.isolation.detach()
        if state.is_world_process_zero:
            write_text(Path(str(args.output_dir)) / COURSE, course.model_dump_json(exclude_none=True) + "\n")


def _file() -> str:
    """The name of a state: one for each process, since each holds its own part."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not distributed or torch.distributed.get_world_size() == 1:
        return "isolation.safetensors"
    return f"isolation-{torch.distributed.get_rank()}-of-{torch.distributed.get_world_size()}.safetensors"


def _read(folder: Path) -> dict[str, torch.Tensor]:
    file = folder / _file()
    if not file.is_file():
        raise DamagedCheckpoint(
            f"training is resumed from {folder}, and there is no {file.name}: was it saved without isolation, by "
            "another number of processes, or does it lie elsewhere? Give isolating(..., resume_from=FOLDER)"
        )
    return read_tensors(file)
