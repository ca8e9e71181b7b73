"""Any other tuner by its peft name, as ``peft:NAME``."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar, Self

import torch
from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftConfig, PeftType, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from holdfast.core.errors import RecipeError, UnknownName
from holdfast.core.spec import write_spec
from holdfast.methods.adapter import AdapterAttachment, AdapterMethod
from holdfast.weights.adapter import count
from holdfast.weights.quiet import quiet

KNOBS = ("r", "n_frequency", "block_size", "effective_rank", "num_virtual_tokens")
"""Options of peft's configurations that set the number of parameters, in the order in which they are looked for."""

OWN = {
    "lora": "lora",
    "adalora": "adalora",
    "oft": "oft",
    "boft": "boft",
    "hra": "hra",
    "ia3": "ia3",
    "vera": "vera",
    "miss": "miss",
    "ln_tuning": "layernorm",
}
"""Tuners that Holdfast offers under a name of its own, with their traps seen to."""

REFUSED = {
    "poly": "it needs a task id in every forward pass",
    "multitask_prompt_tuning": "it needs a task id in every forward pass",
    "xlora": "it mixes adapters that must exist before",
    "shadow": "it is a second model beside the base, and has no conformance run yet",
    "adamss": "its allocation needs a callback that is not connected yet, and its count changes with the weights",
}
"""Tuners that cannot be run like the others, and why."""

NEEDED = {"trainable_tokens": ("token_indices", "the ids of the tokens to train")}
"""Options without which a tuner trains nothing, and what they are."""

SELF_PLACED = ("trainable_tokens",)
"""Tuners that find their layer themselves; on linear layers this one would train outputs, and not tokens."""


@dataclass(frozen=True)
class PeftTuner(AdapterMethod):
    """A tuner of peft that Holdfast has no file for, with peft's own options and defaults.

    Attributes:
        tuner: peft's name of the tuner, in lower case.
        options: Options of its configuration, by their peft names.
    """

    name: ClassVar[str] = "peft"
    learning_rate: ClassVar[float] = 5e-4

    tuner: str = ""
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __reduce__(self) -> tuple[Any, ...]:
        """Read-only options cannot be pickled, and jobs take methods into processes of their own."""
        return _rebuilt, (
            type(self),
            {f.name: getattr(self, f.name) for f in fields(self)} | {"options": dict(self.options)},
        )

    @property
    def label(self) -> str:
        """The name under which it is asked for."""
        return f"peft:{self.tuner}"

    def spec(self) -> str:
        """The tuner with its options, as a recipe would write it."""
        return write_spec(self.label, dict(self.options))

    def config(self, model: PreTrainedModel) -> PeftConfig:
        faults = self.faults()
        if faults:
            raise RecipeError(faults)
        kind = self._kind()
        known = kind.__dataclass_fields__
        placed = {"target_modules": "all-linear"} if "target_modules" in known and self.tuner not in SELF_PLACED else {}
        try:
            return kind(**{"task_type": "CAUSAL_LM", **placed, **self.options})
        except (TypeError, ValueError) as error:
            raise RecipeError([f"{self.label}: {error}"]) from error

    def attach(self, model: nn.Module) -> AdapterAttachment:
        try:
            return super().attach(model)
        except (TypeError, ValueError, IndexError) as error:
            raise RecipeError([f"{self.label} cannot be put on this model with these options: {error}"]) from error

    def parameters(self, model: nn.Module) -> int:
        """How many parameters attaching to such a model would train."""
        try:
            return super().parameters(model)
        except NotImplementedError:
            # Some tuners choose entries by value or decompose weights, and cannot be counted without any; which values,
            # does not matter, as long as they are numbers, and the same each time.
            with quiet():
                return count(get_peft_model(_filled(model), self.config(model)))

    def settings(self, model: nn.Module) -> Iterator[Self]:
        """The tuner at every value of the first knob its configuration has; itself where it has none."""
        knob = next((name for name in KNOBS if name in self._kind().__dataclass_fields__), None)
        if knob is None or knob in self.options:
            yield self
            return
        first, *others = (
            replace(self, options=MappingProxyType({**self.options, knob: value})) for value in self.knob_values(model)
        )
        # Some knobs say how much is kept still, and a larger value trains less.
        falls = bool(others) and others[-1].parameters(model) < first.parameters(model)
        yield from reversed([first, *others]) if falls else [first, *others]

    def faults(self) -> tuple[str, ...]:
        known = {kind.value.lower() for kind in PEFT_TYPE_TO_CONFIG_MAPPING}
        if self.tuner in OWN:
            return (f"{self.label}: use the method '{OWN[self.tuner]}', which sees to the traps of this tuner",)
        if self.tuner in REFUSED:
            return (f"{self.label} is not offered: {REFUSED[self.tuner]}",)
        if self.tuner not in known:
            return (str(UnknownName("peft tuner", self.tuner, known)),)
        odd = sorted(set(self.options) - set(self._kind().__dataclass_fields__))
        faults = [f"{self.label}: {UnknownName('option', name, self._kind().__dataclass_fields__)}" for name in odd]
        option, meaning = NEEDED.get(self.tuner, ("", ""))
        if option and not self.options.get(option):
            faults.append(f"{self.label}: give {option}, {meaning}")
        return tuple(faults)

    def _kind(self) -> Any:
        return PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(self.tuner.upper())]


def _filled(model: nn.Module) -> nn.Module:
    """A copy of a model's shapes with small values in them, the same each time."""
    draw = torch.Generator().manual_seed(0)
    filled = copy.deepcopy(model).to_empty(device="cpu")
    for tensor in filled.parameters():
        if tensor.is_floating_point():
            nn.init.normal_(tensor, std=0.02, generator=draw)
    return filled


def _rebuilt(kind: type[PeftTuner], values: dict[str, Any]) -> PeftTuner:
    return kind(**{**values, "options": MappingProxyType(values["options"])})
