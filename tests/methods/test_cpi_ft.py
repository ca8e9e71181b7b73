"""CPI-FT is DPI, and the probes are fused in."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loops import same
from staged import WORDS, Staged, stream, tasks
from torch import Tensor

from holdfast.core.errors import RecipeError
from holdfast.methods.cpi_ft import CpiFt
from holdfast.methods.dpi import Dpi
from holdfast.methods.on_top import method_named
from holdfast.methods.staging.fusion import slerp
from holdfast.methods.staging.probe import Probe, core
from holdfast.testing.laws import broken_laws, small_model

OPTIONS: dict[str, Any] = {"ratio": 0.05, "threshold": 1.0, "probe_steps": 3, "probe_learning_rate": 1e-3}


def fused_by_hand(base: dict[str, Tensor], order: list[str], omega: float) -> dict[str, Tensor]:
    """Every task trained in a model of its own; cores overwritten from last to first, the rest moved in turn."""
    ends, cores = {}, {}
    for task in order:
        model = small_model()
        start = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
        Probe(3, 1e-3).train(model, dict(model.named_parameters()), task, stream(task))
        cores[task] = core(dict(model.named_parameters()), start, 0.05)
        ends[task] = {name: tensor.detach() for name, tensor in model.named_parameters()}
    found = {}
    for name, tensor in base.items():
        values, taken = tensor.clone(), torch.zeros_like(tensor, dtype=torch.bool)
        for task in order:
            taken |= cores[task][name].dense()
        for task in order:
            values[~taken] = slerp(values[~taken], ends[task][name][~taken], omega, 1e-4)
        for task in order[::-1]:
            own = cores[task][name].dense()
            values[own] = ends[task][name][own]
        found[name] = values
    return found


def stages_of(course: Staged) -> list[str]:
    return list(dict.fromkeys(course.order))


def test_fused_at_the_end_it_is_dpi_and_then_the_fusion_written_out() -> None:
    plain = Staged(Dpi(**OPTIONS), steps=6).begin().run(0, 6)
    course = Staged(CpiFt(**OPTIONS), steps=6).begin().run(0, 5)
    assert same(course.weights(), Staged(Dpi(**OPTIONS), steps=6).begin().run(0, 5).weights())
    course.run(5, 6)
    assert same(course.weights(), fused_by_hand(plain.weights(), stages_of(plain), 0.1))
    assert not same(course.weights(), plain.weights())


def test_fused_at_the_start_it_trains_on_from_the_fusion() -> None:
    method = CpiFt(**OPTIONS, fusion="start", omega=0.3)
    course = Staged(method, steps=6).begin()
    start = {name: tensor.detach().clone() for name, tensor in small_model().named_parameters()}
    wanted = fused_by_hand(start, stages_of(course), 0.3)
    course.attachment.before_forward(0, 6)
    assert same(course.weights(), wanted)
    # From there on it is DPI: held scalars stay at what the fusion has made of them, and later training.
    twin = Staged(Dpi(**OPTIONS), steps=6)
    with torch.no_grad():
        for name, tensor in twin.tensors.items():
            tensor.copy_(wanted[name])
    assert same(Staged(method, steps=6).begin().run(0, 6).weights(), twin.begin().run(0, 6).weights())


def test_with_omega_0_nothing_but_cores_changes() -> None:
    plain = Staged(Dpi(**OPTIONS), steps=6).begin().run(0, 6)
    course = Staged(CpiFt(**OPTIONS, omega=0.0), steps=6).begin().run(0, 6)
    one, other = plain.weights(), course.weights()
    cores = list(course.attachment._cores.values())
    for name in one:
        taken = torch.stack([each[name].dense() for each in cores]).any(dim=0)
        assert torch.equal(one[name][~taken], other[name][~taken])


@pytest.mark.parametrize(
    ("on", "fusion"),
    [
        ("full", "end"),
        ("lora(r=4)", "start"),
        pytest.param("full", "start", marks=pytest.mark.slow),
        pytest.param("lora(r=4)", "end", marks=pytest.mark.slow),
    ],
)
def test_a_training_taken_up_again_in_its_second_stage_ends_as_one_that_was_never_stopped(on: str, fusion: Any) -> None:
    method = CpiFt(**OPTIONS, on=on, fusion=fusion)
    whole = Staged(method, steps=6).begin().run(0, 6)
    first = Staged(method, steps=6).begin().run(0, 3)
    second = Staged(method, steps=6).begin(first).run(3, 6)
    assert same(whole.weights(), second.weights())
    assert same(whole.held(), second.held())


def test_probed_values_are_kept_apart_from_the_model() -> None:
    attachment = CpiFt(**OPTIONS).attach(small_model())
    attachment.prepare(tasks(*WORDS))
    attachment.prepare(tasks("one", "other"))
    assert list(attachment._ends) == ["one", "other"]
    live = {tensor.data_ptr() for tensor in attachment.trainable().values()}
    assert not any(tensor.data_ptr() in live for end in attachment._ends.values() for tensor in end.values())


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"fusion": "middle"}, "cpi_ft: fusion='middle' must be one of end, start"),
        ({"omega": 1.5}, "cpi_ft: omega=1.5 must be a share of the way, from 0 to 1"),
        ({"omega": -0.5}, "cpi_ft: omega=-0.5 must be at least 0"),
        ({"epsilon": 4.0}, "cpi_ft: epsilon=4.0 must be an angle, from 0 to 3.1416 radians"),
    ],
)
def test_options_out_of_range_are_told(options: dict[str, Any], fault: str) -> None:
    assert fault in CpiFt(**options).faults()
    with pytest.raises(RecipeError):
        CpiFt(**options).attach(small_model())


def test_it_is_installed_and_keeps_the_laws_on_lora() -> None:
    assert method_named("cpi_ft(omega=0.2)") == CpiFt(omega=0.2)
    assert broken_laws(CpiFt(on="lora(r=4)")) == []
