"""A point is a model for a while; the base does not notice, however the while ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from small import METHODS, Bits, bits, moved, same_bits, tuner
from transformers import PreTrainedModel

from holdfast.core.errors import IncompatibleUpdate
from holdfast.core.task import Example
from holdfast.measure.answers import answers
from holdfast.measure.choices import choice_loglikelihoods
from holdfast.measure.points import Along, Checkpoint, Point, Untouched
from holdfast.measure.reading import read
from holdfast.testing.laws import small_model
from holdfast.weights.contracts import Method
from holdfast.weights.path import DenseLine
from holdfast.weights.quiet import quiet
from holdfast.weights.update import Update

CHOSEN: dict[str, Method] = {
    **{name: METHODS[name] for name in ("full", "lora", "dora", "oft", "ia3", "layernorm", "peft:lokr")},
    "peft:prompt_tuning": tuner("prompt_tuning", num_virtual_tokens=4),
    "peft:prefix_tuning": tuner("prefix_tuning", num_virtual_tokens=4),
}
ASKED = [Example(f"e{i}", "xyz" * i, "yzx", ("x", "yz", "zzz")) for i in range(1, 4)]


class Abandoned(BaseException):
    """What the user does at the keyboard."""


@contextmanager
def unnoticed(base: PreTrainedModel) -> Iterator[Bits]:
    before = bits(base)
    modules = [(name, type(module)) for name, module in base.named_modules()]
    yield before
    assert same_bits(bits(base), before)
    assert [(name, type(module)) for name, module in base.named_modules()] == modules
    assert not base.training


def abandoned(point: Point, base: PreTrainedModel) -> None:
    with pytest.raises(Abandoned), point.on(base):
        raise Abandoned


def update(model: PreTrainedModel, by: float = 0.1) -> Update:
    attachment = moved(METHODS["lora"], model, by)
    found = attachment.update()
    attachment.detach()
    return found


@pytest.fixture(params=["float32", "bfloat16"])
def base(request: pytest.FixtureRequest) -> PreTrainedModel:
    model = small_model().to(getattr(torch, request.param))
    model.model.norm.weight.requires_grad_(False)
    return model


def test_the_untouched_base_is_the_base(base: PreTrainedModel) -> None:
    with unnoticed(base) as before:
        with Untouched().on(base) as model:
            assert model is base
            assert same_bits(bits(model), before)
        abandoned(Untouched(), base)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[Method], Path]:
    def save(method: Method) -> Path:
        with quiet():
            attachment = moved(method, small_model(), by=0.1)
            attachment.save(tmp_path / "checkpoint")
        return tmp_path / "checkpoint"

    return save


@pytest.mark.parametrize("spec", CHOSEN)
def test_a_checkpoint_is_scored_as_the_model_that_was_trained(
    folder: Callable[[Method], Path], letters: Any, spec: str
) -> None:
    base = small_model()
    point = Checkpoint(folder(CHOSEN[spec]))
    with quiet():
        live = moved(CHOSEN[spec], small_model(), by=0.1).model
    with unnoticed(base), point.on(base) as model:
        for found, wanted, plain in zip(
            *(choice_loglikelihoods(one, letters, ASKED) for one in (model, live, small_model())), strict=True
        ):
            assert found == pytest.approx(wanted, abs=1e-4)
            assert found != pytest.approx(plain, abs=1e-4)
        for one, other in zip(read(model, letters, ASKED, base=small_model()), read(live, letters, ASKED), strict=True):
            assert one.nats == pytest.approx(other.nats, abs=1e-4)
            assert one.kl_nats is not None and one.kl_nats > 1e-6
        assert answers(model, letters, ASKED, max_new_tokens=4) == answers(live, letters, ASKED, max_new_tokens=4)


@pytest.mark.parametrize("spec", CHOSEN)
def test_the_base_does_not_notice_a_checkpoint(
    base: PreTrainedModel, folder: Callable[[Method], Path], letters: Any, spec: str
) -> None:
    point = Checkpoint(folder(CHOSEN[spec]))
    with unnoticed(base):
        with point.on(base) as model:
            assert not model.training
            read(model, letters, ASKED)
        abandoned(point, base)


def test_a_point_along_a_line_is_that_much_of_the_way(letters: Any) -> None:
    base = small_model()
    way = update(base)
    start = {name: tensor.detach().double() for name, tensor in small_model().named_parameters()}
    for t in (0.0, 0.25, 1.0):
        with unnoticed(base), Along(DenseLine(way), t).on(base) as model:
            assert model is base
            for name, tensor in model.named_parameters():
                wanted = start[name] + t * way[name].dense().double() if name in way else start[name]
                torch.testing.assert_close(tensor.detach().double(), wanted, rtol=0, atol=1e-7)
            divergences = [text.kl_nats or 0.0 for text in read(model, letters, ASKED, base=small_model())]
            assert (divergences == [0.0] * 3) == (t == 0)


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_the_base_does_not_notice_a_point_along_a_line(base: PreTrainedModel, letters: Any, t: float) -> None:
    point = Along(DenseLine(update(small_model(), by=10.0)), t)
    with unnoticed(base) as before:
        with point.on(base) as model:
            assert same_bits(bits(model), before) == (t == 0)
            choice_loglikelihoods(model, letters, ASKED)
        abandoned(point, base)


def test_a_path_that_fails_leaves_the_base_alone(base: PreTrainedModel) -> None:
    class Broken:
        label = "broken"

        def at(self, t: float) -> Update:
            raise IncompatibleUpdate(f"nothing at {t}")

    with unnoticed(base), pytest.raises(IncompatibleUpdate, match=r"nothing at 0\.5"), Along(Broken(), 0.5).on(base):
        pytest.fail("the block was entered")


def test_points_may_follow_one_another(folder: Callable[[Method], Path], letters: Any) -> None:
    base = small_model()
    points: list[Point] = [
        Checkpoint(folder(CHOSEN["lora"])),
        Along(DenseLine(update(base)), 0.5),
        Untouched(),
        Checkpoint(folder(CHOSEN["peft:prefix_tuning"])),
    ]
    plain = choice_loglikelihoods(base, letters, ASKED)
    with unnoticed(base):
        for point in [*points, *points]:
            with point.on(base) as model:
                assert (choice_loglikelihoods(model, letters, ASKED) == plain) == (point == Untouched())
            assert choice_loglikelihoods(base, letters, ASKED) == plain
