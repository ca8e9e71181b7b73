"""Wider basins in anybody's trainer: one line, whatever is trained, from a full model to an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from holdfast.core.errors import DamagedCheckpoint, HoldfastError, NotMeasurable
from holdfast.methods.widening.average import Average
from holdfast.methods.widening.averaged import Averaged
from holdfast.methods.widening.displaced import Displaced
from holdfast.store.files import read_tensors, write_tensors
from holdfast.train.passes import PassCallback, take_passes

AVERAGE = "average.safetensors"


def widen(trainer: Trainer, method: Displaced | Averaged) -> None:
    """Let a trainer train for a wider basin.

    One line in a script that stays as it is, between making the trainer and training::

        from holdfast.methods.sam import Sam
        from holdfast.train.widening import widen
        widen(trainer, Sam(rho=0.05))

    The method acts on whatever the trainer trains; its ``on`` plays no part. Noise is that of the trainer's seed.

    Args:
        trainer: Any Hugging Face or TRL trainer that does not train yet.
        method: Such as ``Go``, ``Sam``, ``Asam``, ``Ema``, ``Swa``.

    Raises:
        RecipeError: If an option is out of range.
        HoldfastError: If weights are partitioned or updated out of torch's sight, as by DeepSpeed.
    """
    if isinstance(method, Averaged):
        trainer.add_callback(widening(method))
        return
    if trainer.is_deepspeed_enabled:
        raise HoldfastError(
            f"{method.name} takes gradients at displaced weights, and DeepSpeed keeps copies of them of its own; train "
            "without it, on one process or on several with copies of the model"
        )
    take_passes(trainer, method.displacement(trainer.model, seed=trainer.args.seed))


def widening(method: Displaced | Averaged, *, resume_from: str | Path | None = None) -> TrainerCallback:
    """An ordinary ``TrainerCallback`` that trains for a wider basin, where only callbacks can be given.

    It is `widen` otherwise, but that it does not hear of exceptions: after one within a pass weights are clean again
    when the next training begins, or after ``give_back()``::

        trainer = SFTTrainer(..., callbacks=[widening(Go(sigma=1e-3))])

    Args:
        method: Such as ``Go``, ``Ema``, ``Swa``; one that takes a single pass a micro-batch.
        resume_from: The folder that is resumed from, for averages where it does not lie in the trainer's output folder.

    Raises:
        RecipeError: If an option is out of range.
        HoldfastError: If the method takes two passes, which no callback can do.
    """
    method.check()
    if isinstance(method, Averaged):
        return AverageCallback(method, resume_from)
    if method.passes > 1:
        raise HoldfastError(
            f"{method.spec()} sends every micro-batch forward and backward {method.passes} times, and no callback can "
            "make a trainer do so; give widen(trainer, method) the trainer itself"
        )
    return DisplacedCallback(method)


class DisplacedCallback(PassCallback):
    """Takes gradients at displaced weights, by a trainer's events."""

    def __init__(self, method: Displaced) -> None:
        super().__init__()
        self._method = method

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not state.global_step:  # a checkpoint that is resumed from has been loaded by now, and is clean
            self.give_back()
        self.displacing = self._method.displacement(kwargs["model"], seed=args.seed)


class AverageCallback(TrainerCallback):
    """Averages what a trainer trains: what it evaluates, saves and ends with is the average.

    Every checkpoint folder gets an ``average.safetensors`` with what training goes on from. With mixed precision in
    float16, a step that the scaler skips counts as one whose weights are those before it.

    Args:
        method: The kind of average.
        resume_from: The folder that is resumed from, where it does not lie in the trainer's output folder.
    """

    def __init__(self, method: Averaged, resume_from: str | Path | None = None) -> None:
        self._method, self._resume_from = method, resume_from
        self._average: Average | None = None

    @property
    def average(self) -> Average:
        """The average.

        Raises:
            NotMeasurable: Before training has begun.
        """
        if self._average is None:
            raise NotMeasurable(f"{self._method.spec()} has averaged nothing yet: its training has not begun")
        return self._average

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._average = self._method.average(kwargs["model"])
        if state.global_step:
            folder = Path(self._resume_from or Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")
            if not (folder / AVERAGE).is_file():
                raise DamagedCheckpoint(
                    f"training is resumed from {folder}, and there is no {AVERAGE}: was it saved without an average, "
                    "or does it lie elsewhere? Give widening(..., resume_from=FOLDER)"
                )
            self._average.load_state(read_tensors(folder / AVERAGE))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.average.begin_step()

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.average.end_step(state.global_step, state.max_steps)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.average.state().items()}
        write_tensors(folder / AVERAGE, tensors)
