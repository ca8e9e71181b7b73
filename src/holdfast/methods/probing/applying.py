"""A plan put to work on anybody's model: everything else is frozen before the optimizer, and watched over."""

from __future__ import annotations

import torch
from torch import nn

from holdfast.core.errors import HoldfastError, IncompatibleUpdate
from holdfast.core.parameter_plan import ParameterPlan
from holdfast.methods.probing.identity import value_mark, weights_identity
from holdfast.methods.probing.units import require_wide


def apply_plan(plan: ParameterPlan, model: nn.Module, *, check_start: bool = True) -> Applied:
    """Freeze all but the chosen tensors of a model; call it before the optimizer is built.

        applied = apply_plan(plan, model)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
        ...
        applied.check()    # every frozen tensor is bit for bit what it was
        applied.release()

    Args:
        plan: The plan; whole tensors only.
        model: The model.
        check_start: Refuse weights other than those that the plan was made for, where it names them.

    Raises:
        IncompatibleUpdate: If the plan is of another model, or the weights are not those it was made for.
        HoldfastError: If it chooses nothing, parts of tensors, or quantised ones.
    """
    tensors = dict(model.named_parameters())
    every = dict(model.named_parameters(remove_duplicate=False))
    if not plan.chosen:
        raise HoldfastError(f"the plan of task '{plan.task}' chooses none of its {len(plan.tensors)} tensors")
    for tensor in plan.chosen:
        if tensor.name not in every or every[tensor.name].numel() != tensor.params:
            what = f"{every[tensor.name].numel():,} scalars" if tensor.name in every else "no such tensor"
            raise IncompatibleUpdate(
                f"the plan of task '{plan.task}' trains '{tensor.name}' with {tensor.params:,} scalars, and this "
                f"{type(model).__name__} has {what}; was it made on another model?"
            )
        if tensor.chosen_params not in (None, tensor.params):
            raise HoldfastError(
                f"the plan trains {tensor.chosen_params:,} of the {tensor.params:,} scalars of '{tensor.name}', and a "
                "plan names whole tensors only; train with TraceProbe(...).attach(model), or plan with "
                "granularity='tensor'"
            )
        require_wide(tensor.name, every[tensor.name], "a plan")
    if check_start and plan.start_identity is not None and weights_identity(model) != plan.start_identity:
        raise IncompatibleUpdate(
            f"the weights are not those that the plan of task '{plan.task}' is to begin with: was the model trained "
            "since, not rewound after the probe, or is it another one? Give check_start=False to train nevertheless"
        )
    core = {id(every[tensor.name]) for tensor in plan.chosen}
    return Applied(plan, model, {name for name, tensor in tensors.items() if id(tensor) in core})


class Applied:
    """A plan at work on a model, from `apply_plan` to ``release``.

    Attributes:
        plan: The plan.
        model: The model.
    """

    def __init__(self, plan: ParameterPlan, model: nn.Module, core: set[str]) -> None:
        self.plan, self.model, self._core = plan, model, core
        self._flags = {name: tensor.requires_grad for name, tensor in model.named_parameters()}
        for name, tensor in model.named_parameters():
            tensor.requires_grad_(name in core)
            tensor.grad = None
        self._marks = {name: value_mark(tensor) for name, tensor in self.frozen().items()}

    def frozen(self) -> dict[str, nn.Parameter]:
        """The tensors that do not move."""
        return {name: tensor for name, tensor in self.model.named_parameters() if name not in self._core}

    def trained(self) -> dict[str, nn.Parameter]:
        """The tensors that are trained."""
        return {name: tensor for name, tensor in self.model.named_parameters() if name in self._core}

    def check_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Refuse an optimizer that holds frozen tensors.

        Raises:
            HoldfastError: If it holds any, or none of those that are trained.
        """
        held = {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
        idle = [name for name, tensor in self.frozen().items() if id(tensor) in held]
        if idle:
            raise HoldfastError(
                f"the optimizer holds {len(idle)} frozen tensors, such as '{idle[0]}': it was built before the plan "
                "froze them, and would keep memory for them and could decay them. Apply the plan first, or give the "
                "callback to the trainer when it is made, and let it build the optimizer"
            )
        if not any(id(tensor) in held for tensor in self.trained().values()):
            raise HoldfastError(
                "the optimizer holds none of the tensors that the plan trains: was it built for another model, or was "
                "the model wrapped or copied since?"
            )

    def check(self) -> None:
        """Make sure that every frozen tensor is bit for bit what it was.

        Raises:
            HoldfastError: If one has moved.
        """
        moved = [name for name, tensor in self.frozen().items() if value_mark(tensor) != self._marks[name]]
        if moved:
            raise HoldfastError(
                f"{len(moved)} of {len(self._marks)} frozen tensors have moved, such as '{moved[0]}': something beside "
                "the optimizer writes to them, or it was built before the plan was applied"
            )

    def release(self) -> nn.Module:
        """Let every tensor move again that could before, and return the model."""
        for name, tensor in self.model.named_parameters():
            tensor.requires_grad_(self._flags[name])
        return self.model
