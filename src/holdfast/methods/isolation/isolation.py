"""Isolation at work: between two choices, held scalars stay where they are, whatever the optimizer is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from holdfast.algebra.mask import Mask
from holdfast.algebra.ranks import local
from holdfast.core.errors import DamagedCheckpoint, HoldfastError
from holdfast.core.isolation import IsolationCourse
from holdfast.methods.isolation.decay import decay_factors
from holdfast.methods.isolation.guard import Guard
from holdfast.methods.isolation.history import History
from holdfast.methods.isolation.moments import Moments, moments_of
from holdfast.methods.isolation.nesting import within_a_step
from holdfast.methods.isolation.optimizers import guardable, overflowed
from holdfast.methods.isolation.release import Release
from holdfast.methods.isolation.rule import Rule
from holdfast.methods.isolation.scene import Scene
from holdfast.methods.isolation.watching import Watching
from holdfast.methods.isolation.withholding import Withholding, leaves_alone

Level = Literal["update", "gradient"]
"""``update``: the optimizer's whole step of held scalars is undone, weight decay included. ``gradient``: only their
gradients are set to zero; momentum and decay go on moving them, as in the public code of some methods."""

DECAYS = "weight decay goes on shrinking what is held, which is otherwise put back"
CLIPPED = "importance was seen as the optimizer saw the gradients: after any clipping"


class Isolation:
    """A rule that holds scalars of a model while an optimizer trains it, from its making to ``detach``.

    It acts by hooks on the optimizer, so a training loop needs no change. Where it is given the optimizer of an
    accelerate trainer it sees gradients when the last micro-batch is done, unscaled and before clipping. In a loop of
    your own, call ``observe()`` between ``unscale_`` and clipping; without that it sees them as the optimizer does.

    Args:
        rule: Which scalars are held, and when that is decided.
        scene: The model, its optimizer, and the tensors that may be held.
        acts: On what it acts.
        moments: What becomes of the optimizer's moments of held scalars.
        ramp_steps: Over how many steps a released scalar's updates grow to their full size; 0 lets it go at once.
        decays: Whether decoupled weight decay goes on shrinking what is held.

    Raises:
        HoldfastError: If the updates of this optimizer cannot be guarded.
    """

    def __init__(
        self,
        rule: Rule,
        scene: Scene,
        *,
        acts: Level = "update",
        moments: Moments = "keep",
        ramp_steps: int = 0,
        decays: bool = False,
    ) -> None:
        self._rule, self._scene, self._acts, self._decays = rule, scene, acts, decays
        self._watching = Watching(rule, scene)
        scene.optimizer = guardable(scene.optimizer, scene.tensors)
        self._parts = {name: scene.part(name) for name in scene.tensors}
        self._withheld = frozenset(rule.withheld(scene) if acts == "update" else ())
        # Of an optimizer that is not known to leave them alone, what is held whole is put back nevertheless.
        self._guard = Guard(self._parts, uncopied=self._withheld if leaves_alone(scene.optimizer) else ())
        self._withholding = Withholding(scene.tensors)
        self._moments = moments_of(moments, scene)
        self._release = Release(self._parts, ramp_steps)
        self.history = History(scene)
        self._begun = self._skipped = False
        self._handles: list[RemovableHandle] = [
            *rule.listen(scene),
            *self._watching.hooks(),
            scene.optimizer.register_step_pre_hook(self._before_step),
            scene.optimizer.register_step_post_hook(self._after_step),
        ]

    @property
    def step(self) -> int:
        """Optimizer steps that are done."""
        return self._scene.step

    def mask(self) -> Mask:
        """The scalars that are held, of the parts that this process holds."""
        return self._guard.mask()

    def observe(self) -> None:
        """Look at the gradients as they are now: complete, unscaled, not yet clipped.

        For training loops that scale or clip by hand; call it once a step, after ``scaler.unscale_``, before clipping.
        Gradients that have overflowed are not looked at: the scaler will skip their step.
        """
        self._watching.observe()

    def notes(self) -> tuple[str, ...]:
        """What a reader must know of how importance was seen and what was held, in sentences."""
        gradient = "gradients are masked and not updates: momentum and weight decay go on moving what is held"
        return (
            *self._rule.notes(),
            *((CLIPPED,) if self._watching.clipped else ()),
            *((gradient,) if self._acts == "gradient" else ()),
            *((DECAYS,) if self._decays and self._acts == "update" else ()),
        )

    def course(self, method: str, params: int) -> IsolationCourse:
        """How the choice has gone so far, as a document.

        Args:
            method: The method with its options.
            params: Scalars of the whole model.
        """
        adapter = ("scalars of an adapter are held: not what the papers test",)
        on_adapter = adapter if hasattr(self._scene.model, "peft_config") else ()
        notes = (*self.notes(), *on_adapter)
        return self.history.course(method, params, self.extra_bytes(), notes, at_random=self._rule.at_random)

    def extra_bytes(self) -> int:
        """Memory that plain training would not take."""
        parts = (self._rule, self._guard, self._moments, self._release)
        return sum(part.extra_bytes() for part in parts)

    def state_dict(self) -> dict[str, Tensor]:
        """What a resumed training needs, as tensors; parameters and the optimizer's own state are saved by others."""
        return {
            "step": torch.tensor(self._scene.step),
            "world": torch.tensor(self._scene.world),
            **{f"mask.{name}": packed for name, packed in self.mask().tensors().items()},
            **{f"rule.{key}": tensor for key, tensor in self._rule.state().items()},
            **{f"release.{key}": tensor for key, tensor in self._release.state().items()},
            **{f"history.{key}": tensor for key, tensor in self.history.state().items()},
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state; the parameters and the optimizer must have been put back before.

        Raises:
            DamagedCheckpoint: If the state is of other tensors, or of another number of processes.
        """
        shapes = self._scene.shapes()
        packed = _under("mask.", state)
        if set(packed) != set(shapes):
            odd = sorted(set(packed) ^ set(shapes))[0]
            raise DamagedCheckpoint(
                f"the state of an isolation does not fit this model: '{odd}' is in only one of them"
            )
        if int(state["world"]) != self._scene.world:
            raise DamagedCheckpoint(
                f"the state of an isolation was saved by {int(state['world'])} processes and is resumed by "
                f"{self._scene.world}; resume with as many"
            )
        self._scene.step = int(state["step"])
        self._begin()
        mask = Mask.of_tensors(packed, shapes)
        self._guard.hold(mask)
        self._moments.hold(mask)
        self._rule.restore(_under("rule.", state))
        self._release.restore(_under("release.", state))
        self.history.restore(_under("history.", state), mask)

    def detach(self) -> None:
        """Stop holding anything. The model stays as it is."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._rule.begin(self._scene)

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if within_a_step(optimizer):
            return
        self._begin()
        self._skipped = overflowed(optimizer)
        if self._skipped:
            self._watching.skip_step()
            return
        self._watching.before_step(optimizer)
        if self._scene.step == 0 and not self._rule.early and self._rule.schedule.first == 0:
            self._choose()
        if self._rule.early and self._rule.schedule.due(self._scene.step):
            self._choose()
        if self._acts == "gradient":
            found = {name: t.grad for name, t in self._scene.tensors.items() if t.grad is not None}
            self._guard.quench({name: local(gradient) for name, gradient in found.items()})
        self._withholding.take(self._withheld.intersection(self._guard.whole()))

    @torch.no_grad()
    def _after_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if within_a_step(optimizer):
            return
        self._same_tensors()
        if self._skipped:
            return
        self._withholding.give_back()
        if self._acts == "update":
            if self._decays:
                self._guard.shrink(decay_factors(self._scene))
            self._guard.put_back()
            self._moments.put_back()
            self._release.ease()
        self._scene.step += 1
        if not self._rule.early and self._rule.schedule.due(self._scene.step):
            self._choose()

    @torch.no_grad()
    def _choose(self) -> None:
        started = time.perf_counter()
        mask = self._rule.choose(self._scene)
        before = self._guard.mask()
        if self._moments.acts or self._release.acts:
            released = before & ~mask
            self._release.let_go(released, mask)
            self._moments.let_go(released)
        self._guard.hold(mask)
        self._moments.hold(mask)
        self.history.note(mask, before if self.history.choices else None, time.perf_counter() - started)

    def _same_tensors(self) -> None:
        moved = {id(tensor) for group in self._scene.optimizer.param_groups for tensor in group["params"]}
        for name, tensor in self._scene.tensors.items():
            if id(tensor) not in moved or self._scene.part(name).data_ptr() != self._parts[name].data_ptr():
                raise HoldfastError(
                    f"'{name}' has been replaced since isolation was attached: the optimizer now moves another tensor, "
                    "which nothing holds. Detach, and attach again after the model is final"
                )


def _under(start: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(start): tensor for key, tensor in state.items() if key.startswith(start)}
