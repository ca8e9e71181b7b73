"""Showing gradients to a rule: complete, unscaled, and before clipping where they can be had so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.state import GradientState
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.utils.hooks import RemovableHandle

from holdfast.algebra.ranks import local
from holdfast.methods.isolation.rule import Rule
from holdfast.methods.isolation.scene import Scene


class Watching:
    """What a rule gets to see of the gradients of every step, once a step.

    Under an accelerate trainer that is in the backward pass, when the last micro-batch is done. Elsewhere it is when
    somebody calls `observe`, and right before the step if nobody has.

    Args:
        rule: The rule.
        scene: The training; its optimizer may be in accelerate's wrapper.

    Attributes:
        clipped: Whether gradients were ever seen as the optimizer saw them: after any clipping.
    """

    def __init__(self, rule: Rule, scene: Scene) -> None:
        self._rule, self._scene = rule, scene
        self._scaler = getattr(scene.optimizer, "scaler", None)
        self._accelerated = isinstance(scene.optimizer, AcceleratedOptimizer)
        self._seen = self.clipped = False

    def hooks(self) -> Iterator[RemovableHandle]:
        """Hooks on the tensors, where gradients can be seen in the backward pass."""
        if self._rule.watches and self._sees_whole_gradients():
            for name, tensor in self._scene.tensors.items():
                yield tensor.register_post_accumulate_grad_hook(self._watcher(name))  # type: ignore[no-untyped-call]

    def observe(self) -> None:
        """Show the gradients as they are, unless they have overflowed: the scaler will skip their step."""
        found = self._gradients()
        if all(bool(torch.isfinite(gradient).all()) for gradient in found.values()):
            for name, gradient in found.items():
                self._rule.watch(name, gradient)
        self._seen = True

    def before_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Show the gradients as the optimizer sees them, if they have not been seen yet."""
        if self._rule.watches and not self._seen:
            self.clipped = True
            # A scaler leaves it to fused optimizers to unscale.
            scale = getattr(optimizer, "grad_scale", None)
            for name, gradient in self._gradients().items():
                self._rule.watch(name, gradient if scale is None else gradient.float() / scale)
        self._seen = False

    def skip_step(self) -> None:
        """Forget that anything was seen: the step is not made."""
        self._seen = False

    def _gradients(self) -> dict[str, Tensor]:
        return {name: local(t.grad) for name, t in self._scene.tensors.items() if t.grad is not None}

    def _sees_whole_gradients(self) -> bool:
        """Whether gradients can be seen in the backward pass, complete and before they are clipped."""
        replicated = torch.distributed.is_available() and torch.distributed.is_initialized()
        sharded = any(isinstance(tensor, DTensor) for tensor in self._scene.tensors.values())
        # Copies of a model add up their gradients after this hook; shards do so before it.
        return self._accelerated and (sharded or not replicated or torch.distributed.get_world_size() == 1)

    def _watcher(self, name: str) -> Callable[[nn.Parameter], None]:
        def watch(tensor: nn.Parameter) -> None:
            if not GradientState().sync_gradients or tensor.grad is None:
                return
            gradient = local(tensor.grad)
            if self._scaler is not None and self._scaler.is_enabled():
                gradient = gradient.float() / self._scaler.get_scale()
                if not bool(torch.isfinite(gradient).all()):
                    return  # the scaler will skip this step
            self._rule.watch(name, gradient)
            self._seen = True

        return watch
