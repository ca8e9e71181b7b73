"""Every installed method keeps all laws, and a method that breaks one is found out by its name and no other."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from small import METHODS, bits, same_bits, tuner
from torch import nn

from holdfast.algebra.delta import Dense
from holdfast.core.parameter_plan import ParameterPlan
from holdfast.methods.full import Full, FullAttachment
from holdfast.methods.lora import Lora
from holdfast.testing.laws import LAWS, UNMEASURABLE, Broken, broken_laws, small_model
from holdfast.weights.path import DenseLine
from holdfast.weights.update import Update

ALIKE = frozenset(
    {
        *("boft", "oft(exact=False)", "miss", "lora(use_rslora=True)", "peft:loha", "peft:lokr", "peft:randlora"),
        *("static", "bottom_mask", "inverse_mask", "random_mask", "hft", "gmt", "mofo"),
        *("migu", "ssu", "dpi", "cpi_ft", "trace_probe", "random_tensors", "inf_lora", "o_lora"),
        *("l2_sp", "mas", "asam", "swa", "shift"),
    }
)
"""Methods that go the way of another one here, or that keep the laws on LoRA in tests of their own."""


@pytest.mark.parametrize(
    "spec", [pytest.param(spec, marks=[pytest.mark.slow] if spec in ALIKE else []) for spec in METHODS]
)
def test_every_installed_method_keeps_all_laws(spec: str) -> None:
    assert broken_laws(METHODS[spec]) == []


def test_the_model_to_try_a_method_on_is_left_as_it_was() -> None:
    model = small_model(seed=3)
    before = bits(model)
    assert broken_laws(Lora(r=2), model) == []
    assert same_bits(bits(model), before)


def test_trying_a_method_leaves_the_random_numbers_as_they_were() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    broken_laws(Lora(r=2))
    assert torch.equal(torch.rand(3), wanted)


class Planted(FullAttachment):
    """Full fine-tuning; what is planted in it breaks one law, and keeps all others."""


class OffTheBase(Planted):
    """What is trained starts off the base, and the update and the path tell so from the base on."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        with torch.no_grad():
            model.get_output_embeddings().weight.mul_(1.01)


class GradientForAnother(Planted):
    """One tensor is not listed, but gets a gradient."""

    def trainable(self) -> Mapping[str, nn.Parameter]:
        return {name: tensor for name, tensor in super().trainable().items() if name != "model.norm.weight"}


class Idle(Planted):
    """Each step is undone."""

    def after_step(self, step: int, steps: int) -> None:
        with torch.no_grad():
            for name, tensor in self._model.named_parameters():
                tensor.copy_(self._base[name])


class HalfAnUpdate(Planted):
    """The update is half of what was done, and the path does not use it."""

    def update(self) -> Update:
        return super().update().scaled(0.5)

    def path(self) -> DenseLine:
        return DenseLine(super().update())


class Untidy(Planted):
    """One weight is left the smallest step away from where it was."""

    def detach(self) -> nn.Module:
        base = super().detach()
        with torch.no_grad():
            weight = base.get_output_embeddings().weight
            weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(torch.inf))
        return base


class PathFromElsewhere(Planted):
    """At 0 the path is already half way."""

    def path(self) -> Any:
        update = self.update()

        class Half:
            label = "half"

            def at(self, t: float) -> Update:
                return update.scaled(0.5 + t / 2)

        return Half()


class PathToElsewhere(Planted):
    """At 1 the path has gone too far."""

    def path(self) -> DenseLine:
        return DenseLine(self.update().scaled(1.5))


class SavesTheBase(Planted):
    """The failed merge that saves the base and says nothing."""

    def save(self, folder: Path) -> None:
        base = copy.deepcopy(self._model)
        with torch.no_grad():
            for name, tensor in base.named_parameters():
                tensor.copy_(self._base[name])
        base.save_pretrained(folder)


class Whimsical(Planted):
    """The same seed trains differently from time to time, too little to be seen in the answers."""

    times: ClassVar[int] = 0

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        Whimsical.times += 1
        self._whim = Whimsical.times

    def after_step(self, step: int, steps: int) -> None:
        with torch.no_grad():
            dict(self._model.named_parameters())["lm_head.weight"][0, 0].add_(1e-6 * self._whim)


class MovesAnother(Planted):
    """A tensor that is neither listed nor in the update moves, too little to be seen in the answers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        model.model.norm.weight.requires_grad_(False)

    def trainable(self) -> Mapping[str, nn.Parameter]:
        return {name: tensor for name, tensor in super().trainable().items() if name != "model.norm.weight"}

    def after_step(self, step: int, steps: int) -> None:
        with torch.no_grad():
            self._model.model.norm.weight[0].add_(1e-6)

    def update(self) -> Update:
        return super().update().only(lambda name: name != "model.norm.weight")


@dataclass(frozen=True)
class Method(Full):
    """Full fine-tuning with something planted in it."""

    kind: type[Planted] = Planted
    more: int = 0

    def attach(self, model: nn.Module) -> Planted:
        return self.kind(model)

    def parameters(self, model: nn.Module) -> int:
        listed = sum(tensor.numel() for tensor in self.kind(model).trainable().values())
        return listed + self.more


@dataclass(frozen=True)
class Downhill(Method):
    """Settings of which the second would train less, were it asked."""

    def settings(self, model: nn.Module) -> Iterator[Method]:
        yield self
        yield Downhill(more=-1)


@dataclass(frozen=True)
class Homebound(Method):
    """It holds what no other process could be given."""

    rule: object = lambda: None


PLANTED = {
    "a fresh attachment changes nothing": Method(OffTheBase),
    "only trainable tensors get gradients": Method(GradientForAnother),
    "training moves the model": Method(Idle),
    "base plus update is the attached model": Method(HalfAnUpdate),
    "detach restores the base bit for bit": Method(Untidy),
    "the path goes from the base to the model": Method(PathFromElsewhere),
    "what is saved is what was trained": Method(SavesTheBase),
    "the same seed makes the same update": Method(Whimsical),
    "what is not in the update has not moved": Method(MovesAnother),
    "the parameter count is the one it states": Method(more=1),
    "settings begin with the fewest parameters": Downhill(),
    "it can be taken into another process": Homebound(),
}


@cache
def broken_by(law: str) -> list[Broken]:
    return broken_laws(PLANTED[law])


def test_there_is_a_broken_method_for_every_law() -> None:
    assert list(PLANTED) == list(LAWS)
    assert set(LAWS) >= UNMEASURABLE


def test_the_method_that_the_planted_ones_come_from_is_sound() -> None:
    assert broken_laws(Method()) == []


@pytest.mark.parametrize("law", PLANTED)
def test_a_method_that_breaks_one_law_is_found_out_by_its_name_and_no_other(law: str) -> None:
    assert [broken.law for broken in broken_by(law)] == [law]


def test_a_path_that_goes_too_far_is_found_out_too() -> None:
    (broken,) = broken_laws(Method(PathToElsewhere))
    assert broken.law == "the path goes from the base to the model"
    assert broken.how.startswith("at 1 the path is ") and broken.how.endswith(" off the trained model")


@pytest.mark.parametrize(
    ("law", "how"),
    [
        ("only trainable tensors get gradients", "'model.norm.weight' gets a gradient and is not in trainable()"),
        ("training moves the model", "training does not change what the model says"),
        ("detach restores the base bit for bit", "'lm_head.weight' is not bit for bit what it was"),
        ("the same seed makes the same update", "the same seed makes another update of 'model.embed_tokens.weight'"),
        ("what is not in the update has not moved", "'model.norm.weight' has moved and is not in update()"),
        ("the parameter count is the one it states", "states 90,433 parameters and trains 90,432"),
        (
            "settings begin with the fewest parameters",
            "settings() begins with full, 90,432 parameters, and ends with 90,431",
        ),
    ],
)
def test_it_is_told_how_a_law_was_broken(law: str, how: str) -> None:
    assert broken_by(law) == [Broken(law, how)]


class Choosing(Planted):
    """It chooses what it trains when it has seen data."""

    def plan(self) -> ParameterPlan:
        raise AssertionError("no law asks for it")


def test_what_is_chosen_from_data_may_be_less_than_was_stated_and_not_more() -> None:
    assert broken_laws(Method(Choosing, more=1)) == []
    (broken,) = broken_laws(Method(Choosing, more=-1))
    assert broken.how == "states at most 90,431 parameters and trains 90,432"


class NotEvenAttaching(Method):
    """A stranger's method that fails."""

    def attach(self, model: nn.Module) -> Planted:
        raise ZeroDivisionError("by design")


def test_a_method_that_cannot_be_attached_breaks_one_law_only() -> None:
    assert broken_laws(NotEvenAttaching()) == [Broken("attaches and trains", "ZeroDivisionError: by design")]


@pytest.mark.parametrize("thing", [object(), Planted, "lora"])
def test_what_is_no_method_is_told_so(thing: Any) -> None:
    (broken,) = broken_laws(thing)
    assert broken.law == "is a method"


def test_what_does_not_act_on_weights_breaks_no_law_about_updates() -> None:
    assert {broken.law for broken in broken_laws(tuner("prompt_tuning", num_virtual_tokens=2))} == {
        "a fresh attachment changes nothing"
    }


class Wordy(Planted):
    """An update that lists what has not moved, too."""

    def update(self) -> Update:
        zeros = {name: Dense(torch.zeros_like(tensor)) for name, tensor in self._model.named_parameters()}
        return Update({**zeros, **super().update()})


def test_zeros_in_an_update_are_allowed() -> None:
    assert broken_laws(Method(Wordy)) == []
