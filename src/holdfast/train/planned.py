"""A plan of parameters in anybody's trainer: probe on what it trains on, freeze the rest, and watch over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from accelerate.optimizer import AcceleratedOptimizer
from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from holdfast.core.errors import HoldfastError
from holdfast.core.parameter_plan import ParameterPlan
from holdfast.methods.probing.applying import Applied, apply_plan
from holdfast.methods.probing.damping import Damping
from holdfast.methods.trace_probe import trace_probe_plan
from holdfast.store.run import RunFolder
from holdfast.train.looking import random_numbers_kept


def probing(trainer: Trainer, *, task: str = "task", **options: Any) -> ParameterPlan:
    """Probe a task on the very batches that a trainer trains on, and let it train one TRACE stage.

    Two lines in a script that stays as it is, between making the trainer and training::

        from holdfast.train.planned import probing
        probing(trainer, ratio=0.1)

    The model is rewound bit for bit, all but the chosen tensors are frozen before the trainer builds its optimizer,
    and a `PlanCallback` watches over them. Random numbers go on as if nothing had been drawn.

    Args:
        trainer: A Hugging Face or TRL trainer that has not trained yet; of a full model.
        task: Name of the task.
        **options: Those of `holdfast.methods.trace_probe.TraceProbe`.

    Returns:
        The plan; it is also written to ``plan.json`` in the trainer's output folder.

    Raises:
        HoldfastError: If the trainer has built its optimizer already, or has an adapter on its model; see also
            `trace_probe_plan`.
    """
    model: nn.Module = trainer.model
    if hasattr(model, "peft_config"):
        raise HoldfastError(
            "a probe chooses tensors of a full model, and this trainer has an adapter on it; leave out the adapter, or "
            "give plan.target_modules() of a plan made on the bare model to its configuration"
        )
    if trainer.optimizer is not None:
        raise HoldfastError(
            "the trainer has its optimizer already, which would hold what the plan freezes; probe before training, "
            "and let the trainer build the optimizer"
        )
    with random_numbers_kept(model):
        plan = trace_probe_plan(model, trainer.get_train_dataloader(), task=task, **options)
    callback = PlanCallback(plan)
    callback.freeze(model)
    trainer.add_callback(callback)
    return plan


class PlanCallback(TrainerCallback):
    """An ordinary ``TrainerCallback`` that trains the tensors of a plan and no others.

    Give it to the trainer when that is made: it freezes when the trainer's constructor ends, before the optimizer
    exists. When training begins it refuses an optimizer that holds frozen tensors; when it ends it makes sure that
    they are bit for bit what they were, writes ``plan.json`` into the output folder, and lets them go.

    Args:
        plan: The plan.
        check_start: Refuse weights other than those that the plan was made for. A resumed training begins with others;
            it is checked before its checkpoint is loaded.
    """

    def __init__(self, plan: ParameterPlan, *, check_start: bool = True) -> None:
        self._plan, self._check_start = plan, check_start
        self._applied: Applied | None = None
        self._damping: Damping | None = None

    def freeze(self, model: nn.Module) -> None:
        """Freeze all but the chosen tensors of a model, which has no optimizer yet.

        Raises:
            IncompatibleUpdate: If the plan is not for this model, or not for these weights.
            HoldfastError: If it chooses nothing that could be trained.
        """
        self._applied = apply_plan(self._plan, model, check_start=self._check_start)

    def on_init_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.freeze(kwargs["model"])
        if kwargs.get("optimizer") is not None:
            self._at_work().check_optimizer(_bare(kwargs["optimizer"]))

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._applied is None:
            raise HoldfastError(
                "the plan came to the trainer after it was made, and its optimizer holds every tensor by now; give "
                "callbacks=[PlanCallback(plan)] to the trainer's constructor"
            )
        self._applied.check_optimizer(_bare(kwargs["optimizer"]))
        self._damping = self._damped(self._applied)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._damping is not None:
            self._damping.before_step()

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._damping is not None:
            self._damping.after_step()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        applied = self._at_work()
        applied.check()
        applied.release()
        if state.is_world_process_zero:
            RunFolder(Path(str(args.output_dir))).write_plan(self._plan)

    def _at_work(self) -> Applied:
        assert self._applied is not None, "the trainer's constructor has frozen by now"
        return self._applied

    def _damped(self, applied: Applied) -> Damping | None:
        factor = self._plan.settings.get("damp")
        shared = {tensor.name: len(tensor.owners) for tensor in self._plan.chosen if tensor.owners}
        if self._plan.settings.get("overlap") != "damp" or factor is None or not shared:
            return None
        tensors = applied.trained()
        factors = {name: torch.tensor(float(factor) ** owners).double() for name, owners in shared.items()}
        return Damping(tensors, {name: each.expand(tensors[name].shape) for name, each in factors.items()})


def _bare(optimizer: object) -> torch.optim.Optimizer:
    """The torch optimizer itself, out of accelerate's wrapper."""
    found = optimizer.optimizer if isinstance(optimizer, AcceleratedOptimizer) else optimizer
    assert isinstance(found, torch.optim.Optimizer), "trainers have built one by now"
    return found
