"""One diagnosis holds every number of every weight and prompt, and does not hang on how they were read."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from small import METHODS, bits, moved, same_bits, tuner
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel
from twins import normal

from holdfast.algebra.delta import Delta, Dense
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import Rotation, skew
from holdfast.algebra.sparse import Sparse
from holdfast.algebra.spectrum import spectrum_of
from holdfast.core.diagnosis import CONTROL, MISMATCHED, UPDATE, Diagnosis
from holdfast.core.errors import BadData, IncompatibleUpdate, NotMeasurable, UnknownName
from holdfast.core.record import Record
from holdfast.measure import listening
from holdfast.measure.diagnose import Asked, Diagnosing, Patient, diagnose
from holdfast.measure.points import Along
from holdfast.probes.activation_geometry import ActivationGeometry
from holdfast.probes.capability_drift import CapabilityDrift
from holdfast.probes.gathered import layer_inputs
from holdfast.probes.sweep import sweep
from holdfast.probes.tokens import TokenChoice
from holdfast.probes.weight_space import WeightSpace, random_change
from holdfast.testing.laws import small_model
from holdfast.weights.path import DenseLine
from holdfast.weights.update import Update

UP, DOWN, QUERY = "model.layers.0.mlp.up_proj", "model.layers.1.mlp.down_proj", "model.layers.1.self_attn.q_proj"
HOW = Diagnosing(
    weights=WeightSpace(subspaces=(2, 4)),
    drift=CapabilityDrift(resamples=50),
    activations=ActivationGeometry(subspaces=(2,)),
    choice=TokenChoice(tokens=4),
)


def some_prompts(count: int, seed: int = 0) -> tuple[tuple[int, ...], ...]:
    source = random.Random(seed)
    return tuple(tuple(source.randrange(3, 128) for _ in range(source.randint(8, 20))) for _ in range(count))


BRIEFLY = replace(HOW, sites=(DOWN,))
"""Activations at one site, for tests that are about something else."""

GENERAL, TARGET = Asked("general.txt", some_prompts(9)), Asked("target.txt", some_prompts(7, seed=1))
BOTH = {"general": GENERAL, "target": TARGET}


def update_of(model: PreTrainedModel) -> Update:
    """A change of every form, and one of a vector."""
    weight = model.get_parameter(f"{QUERY}.weight").detach()
    changes: dict[str, Delta] = {
        f"{UP}.weight": LowRank(0.1 * normal(128, 2), normal(2, 64, seed=1)),
        f"{QUERY}.weight": Rotation(weight, skew(0.1 * normal(2, 32 * 31 // 2, dtype=torch.float32))),
        f"{DOWN}.weight": Sparse(torch.arange(40) * 7, normal(40), (64, 128)),
        "lm_head.weight": Dense(0.01 * normal(128, 64)),
        "model.norm.weight": Dense(0.1 * normal(64)),
    }
    return Update(changes)


def patient(model: PreTrainedModel, update: Update | None = None) -> Patient:
    update = update_of(model) if update is None else update
    weights = dict(model.named_parameters())
    return Patient(
        base="base",
        tuned="tuned",
        form="some form",
        update=update,
        weight=lambda name: weights[name].detach(),
        params=model.num_parameters(),
        spectrum=spectrum_of,
        model=model,
        point=Along(DenseLine(update), 1.0),
    )


@pytest.fixture
def model() -> PreTrainedModel:
    return small_model()


@pytest.fixture(scope="module")
def whole() -> Diagnosis:
    return diagnose(patient(small_model()), BOTH, HOW)


def of(diagnosis: Diagnosis, **wanted: str) -> list[Record]:
    return [one for one in diagnosis.records if all(getattr(one, name) == value for name, value in wanted.items())]


def numbers(diagnosis: Diagnosis) -> dict[tuple[str, str, str], Record]:
    return {(one.subject, one.quantity, one.site): one for one in diagnosis.records}


def assert_alike(one: Diagnosis, other: Diagnosis, within: float = 1e-5) -> None:
    found, wanted = numbers(one), numbers(other)
    assert list(found) == list(wanted)
    for key, record in found.items():
        assert record.reason == wanted[key].reason, key
        if record.value is not None:
            assert record.value == pytest.approx(wanted[key].value, rel=within, abs=within), key
        if record.spread is not None:
            assert record.spread == pytest.approx(wanted[key].spread, rel=within, abs=within), key


def test_no_quantity_is_told_twice(whole: Diagnosis) -> None:
    assert len(numbers(whole)) == len(whole.records)


def test_every_matrix_is_named_once_and_vectors_only_counted(whole: Diagnosis, model: PreTrainedModel) -> None:
    names = [site.name for site in whole.sites]
    assert names[:4] == [UP, QUERY, DOWN, "lm_head"]
    assert len(set(names)) == len(names)
    assert [(site.block, site.module, site.shape) for site in whole.sites[:4]] == [
        (0, "mlp.up_proj", (128, 64)),
        (1, "self_attn.q_proj", (64, 64)),
        (1, "mlp.down_proj", (64, 128)),
        (None, "lm_head", (128, 64)),
    ]
    assert {one.site for one in whole.records} - {""} <= set(names)
    assert whole.moved_params == 128 * 64 + 64 * 64 + 64 * 128 + 128 * 64 + 64
    assert whole.base_params == model.num_parameters()
    assert (whole.base, whole.tuned, whole.form) == ("base", "tuned", "some form")
    assert set(whole.environment) == {"holdfast", "torch", "transformers", "peft", "seconds"}


def test_what_is_told_of_a_weight_is_what_the_probe_finds(whole: Diagnosis, model: PreTrainedModel) -> None:
    for name, change in update_of(model).items():
        if len(change.shape) == 2:
            weight, site = model.get_parameter(name).detach(), name.removesuffix(".weight")
            wanted = list(HOW.weights.measure(UPDATE, site, weight, change.in_memory(), spectrum_of(weight)))
            found = [*of(whole, subject=UPDATE, site=site), *whole.curves]
            assert all(one in found for one in wanted)


def test_drift_is_that_of_the_inputs_of_the_base(whole: Diagnosis, model: PreTrainedModel) -> None:
    assert {one.site for one in whole.records if one.quantity.startswith("drift_")} == {UP, QUERY, DOWN}
    for role, asked in BOTH.items():
        inputs = layer_inputs(sweep(model, asked.prompts, [DOWN], side="inputs", choice=HOW.choice))[DOWN]
        weight, change = model.get_parameter(f"{DOWN}.weight").detach(), update_of(model)[f"{DOWN}.weight"]
        for wanted in HOW.drift.measure(UPDATE, DOWN, weight, change, {role: inputs}):
            (found,) = of(whole, subject=UPDATE, site=DOWN, quantity=wanted.quantity)
            assert found.value == pytest.approx(wanted.value, rel=1e-6)
            assert found.spread is not None


def test_the_control_is_a_random_update_of_the_same_norm(whole: Diagnosis, model: PreTrainedModel) -> None:
    for site in (UP, QUERY, DOWN, "lm_head"):
        size = {one.subject: one.value for one in of(whole, site=site, quantity="relative_size_frobenius")}
        assert size[CONTROL] == pytest.approx(size[UPDATE], rel=1e-6)
    (rank,) = of(whole, subject=CONTROL, site=UP, quantity="stable_rank")
    assert (rank.value or 0) > 10
    assert {one.subject for one in whole.curves} == {UPDATE, CONTROL}
    again = diagnose(patient(model), how=HOW)
    assert [one for one in whole.curves if one.subject == CONTROL] == [
        one for one in again.curves if one.subject == CONTROL
    ]
    without = diagnose(patient(model), how=replace(HOW, controls=False))
    assert {one.subject for one in without.records} == {one.subject for one in without.curves} == {UPDATE}


def test_controls_of_equal_changes_at_two_sites_differ(model: PreTrainedModel) -> None:
    same = Dense(0.1 * normal(64, 64))
    update = Update({f"model.layers.{at}.self_attn.q_proj.weight": same for at in (0, 1)})
    found = diagnose(patient(model, update), how=HOW)
    one, other = (of(found, subject=CONTROL, quantity="entropy_rank", site=site.name)[0] for site in found.sites)
    assert one.value != other.value
    assert random_change(same, 1).norm() == pytest.approx(same.norm())


def test_the_whole_size_is_that_of_all_changes_over_all_their_weights(whole: Diagnosis, model: PreTrainedModel) -> None:
    update = update_of(model)
    changed = sum(float(change.dense().double().square().sum()) for change in update.values())
    base = sum(float(model.get_parameter(name).detach().double().square().sum()) for name in update)
    (found,) = of(whole, site="")
    assert (found.subject, found.quantity) == (UPDATE, "relative_size_frobenius")
    assert found.value == pytest.approx((changed / base) ** 0.5, rel=1e-6)


def test_activations_are_compared_at_the_usual_sites_with_a_null(whole: Diagnosis) -> None:
    told = {one.site for one in whole.records if one.quantity == "cka_unbiased/general"}
    # A third and two thirds of two blocks are blocks 0 and 1.
    assert told == {
        f"model.layers.{at}.{name}"
        for at in (0, 1)
        for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.down_proj")
    }
    for role in BOTH:
        residual = {one.subject: one for one in of(whole, site=DOWN, quantity=f"procrustes_residual/{role}")}
        assert set(residual) == {UPDATE, MISMATCHED}
        assert (residual[UPDATE].value or 9) < (residual[MISMATCHED].value or 0)
    assert [(one.role, one.source, one.count, one.tokens) for one in whole.prompts] == [
        ("general", "general.txt", 9, 36),
        ("target", "target.txt", 7, 28),
    ]


def test_without_prompts_only_weights_are_told(model: PreTrainedModel, whole: Diagnosis) -> None:
    found = diagnose(replace(patient(model), model=None, point=None), how=HOW)
    assert found.prompts == ()
    assert found.curves == whole.curves
    assert not any("/general" in one.quantity for one in found.records)
    assert [site.name for site in found.sites] == [UP, QUERY, DOWN, "lm_head"]


def test_the_order_of_prompts_decides_nothing(whole: Diagnosis) -> None:
    turned = {role: Asked(asked.source, asked.prompts[::-1]) for role, asked in BOTH.items()}
    assert_alike(diagnose(patient(small_model()), turned, HOW), whole)


def test_the_order_of_more_prompts_than_groups_decides_nothing(model: PreTrainedModel) -> None:
    prompts = list(some_prompts(45, seed=3))
    how = replace(HOW, sites=(DOWN,), controls=False)
    one = diagnose(patient(model), {"general": Asked("g", prompts)}, how)
    random.Random(0).shuffle(prompts)
    assert_alike(diagnose(patient(model), {"general": Asked("g", prompts)}, how), one)


def test_the_size_of_batches_decides_nothing(whole: Diagnosis, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_by_one(*args: Any, **given: Any) -> Any:
        return sweep(*args, **given, max_rows=1)

    monkeypatch.setattr(listening, "sweep", one_by_one)
    assert_alike(diagnose(patient(small_model()), BOTH, HOW), whole)


def test_a_zero_update_has_reasons_and_no_control(model: PreTrainedModel) -> None:
    found = diagnose(patient(model, Update({f"{UP}.weight": Dense(torch.zeros(128, 64))})), BOTH, BRIEFLY)
    assert {one.subject for one in found.records} == {UPDATE, MISMATCHED}
    assert of(found, site="")[0].value == 0
    for name, value in {
        "drift_absolute/general": 0.0,
        "raw_residual/target": 0.0,
        "gram_cosine_distance/general": 0.0,
        "cka_biased/general": 1.0,
    }.items():
        for one in of(found, subject=UPDATE, quantity=name):
            assert one.value == pytest.approx(value, abs=1e-7)
    for one in of(found, subject=UPDATE, quantity="stable_rank"):
        assert one.reason == "stable rank of a zero update is undefined: nothing was changed"


def test_few_or_equal_prompts_are_a_reason_where_a_null_takes_others(model: PreTrainedModel) -> None:
    for asked in (Asked("one", GENERAL.prompts[:1]), Asked("same", GENERAL.prompts[:1] * 3)):
        found = diagnose(patient(model), {"general": asked}, BRIEFLY)
        (null,) = of(found, subject=MISMATCHED)
        assert null.reason == "a null by pairing prompts with others: too many of the prompts are the same"


def test_layers_that_are_not_linear_have_no_drift_and_a_reason() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=64, n_embd=32, n_layer=2, n_head=4)).eval()
    site = "transformer.h.0.attn.c_attn"
    update = Update({f"{site}.weight": Dense(0.1 * normal(32, 96))})
    found = diagnose(patient(model, update), {"general": GENERAL}, replace(HOW, sites=(site,)))
    assert [(one.quantity, one.reason) for one in of(found, subject=UPDATE, site="") if one.reason] == [
        ("drift_relative/general", "drift: the update changes no linear layer inside a numbered block of the model")
    ]
    assert of(found, subject=UPDATE, quantity="raw_residual/general", site=site)[0].value


def test_an_update_of_the_head_alone_has_the_same_reason(model: PreTrainedModel) -> None:
    found = diagnose(patient(model, update_of(model).only(lambda name: "lm_head" in name)), BOTH, BRIEFLY)
    assert [one.quantity for one in found.records if one.reason and one.reason.startswith("drift: ")] == [
        "drift_relative/general",
        "drift_relative/target",
    ]


class Broken:
    """A point that fails while it stands."""

    @contextmanager
    def on(self, base: PreTrainedModel) -> Iterator[PreTrainedModel]:
        with Along(DenseLine(update_of(base)), 1.0).on(base):
            raise KeyboardInterrupt
            yield base


def test_the_base_is_bit_for_bit_what_it_was(model: PreTrainedModel) -> None:
    before = bits(model)
    diagnose(patient(model), BOTH, BRIEFLY)
    assert same_bits(bits(model), before)
    with pytest.raises(KeyboardInterrupt):
        diagnose(replace(patient(model), point=Broken()), BOTH, BRIEFLY)
    assert same_bits(bits(model), before)
    assert not model.training
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("spec", ["lora", "dora", "oft", "ia3", "peft:lokr", "vera"])
def test_a_live_update_of_any_method_is_diagnosed(spec: str) -> None:
    attachment = moved(METHODS[spec], small_model())
    update = attachment.update()
    attachment.detach()
    found = diagnose(patient(small_model(), update), how=HOW)
    assert (of(found, site="")[0].value or 0) > 0
    assert {site.name for site in found.sites} == {
        name.removesuffix(".weight") for name, change in update.items() if len(change.shape) == 2
    }


def test_progress_is_told(model: PreTrainedModel) -> None:
    told: list[tuple[str, int, int]] = []
    diagnose(patient(model), {"general": GENERAL}, BRIEFLY, lambda *each: told.append(each))
    assert [what for what, done, total in told if done == total] == [
        "inputs on general prompts",
        "weights",
        "activations on general prompts",
    ]
    assert all(done <= total for _, done, total in told)


Fault = Callable[[PreTrainedModel], Any]


def spoilt(model: PreTrainedModel, name: str) -> Update:
    update = update_of(model)
    dense = update[name].dense().clone()
    dense[1, 2] = torch.nan
    return Update({**update, name: Dense(dense)})


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (
            lambda model: diagnose(patient(model, update_of(model).only(lambda name: "norm" in name)), BOTH, HOW),
            NotMeasurable,
            "tuned changes no matrix of base: there is nothing to be diagnosed",
        ),
        (
            lambda model: diagnose(patient(model, Update({})), how=HOW),
            NotMeasurable,
            "tuned changes no matrix of base: there is nothing to be diagnosed",
        ),
        (
            lambda model: diagnose(replace(patient(model), model=None, point=None), BOTH, HOW),
            NotMeasurable,
            "prompts are read by a model: open the base, and give the tuned model as a point over it",
        ),
        (
            lambda model: diagnose(patient(model), {"target": Asked("t", [*TARGET.prompts, (1, 2, 3)])}, HOW),
            BadData,
            "1 of 8 prompts have fewer than 4 tokens after the first 1 (the shortest has 2); choose fewer tokens of "
            "each, or leave short prompts out",
        ),
        (
            lambda model: diagnose(patient(model), {"general": Asked("g", [])}, HOW),
            BadData,
            "there is no prompt to be read; give at least one",
        ),
        (
            lambda model: diagnose(patient(model), BOTH, replace(HOW, sites=("model.layers.1.mlp.down_pro",))),
            UnknownName,
            f"unknown module 'model.layers.1.mlp.down_pro': did you mean '{DOWN}'?",
        ),
        (
            lambda model: diagnose(patient(model, spoilt(model, f"{DOWN}.weight")), how=HOW),
            NotMeasurable,
            f"'{DOWN}.weight': singular values of a change of shape (64, 128): it has entries that are not finite; "
            "take a checkpoint from before training diverged",
        ),
        (
            lambda model: diagnose(patient(model, Update({f"{UP}.weight": Dense(normal(64, 64))})), how=HOW),
            IncompatibleUpdate,
            "the change has shape (64, 64), the spectrum is that of a weight of shape (128, 64): take the spectrum of "
            "the weight that was changed",
        ),
    ],
    ids=["vectors", "nothing", "no model", "short", "no prompts", "no such site", "not finite", "another shape"],
)
def test_faults_are_told_before_there_is_a_number(
    model: PreTrainedModel, fault: Fault, error: type[Exception], said: str
) -> None:
    before = bits(model)
    with pytest.raises(error) as caught:
        fault(model)
    assert str(caught.value) == said
    assert same_bits(bits(model), before)


def test_what_prompts_need_is_looked_at_before_any_weight(model: PreTrainedModel) -> None:
    def never(weight: object) -> Any:
        pytest.fail("a weight was decomposed")

    for prompts, how in (({"general": Asked("g", [(1, 2)])}, HOW), (BOTH, replace(HOW, sites=("nosuch",)))):
        with pytest.raises((BadData, UnknownName)):
            diagnose(replace(patient(model), spectrum=never), prompts, how)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32, torch.float8_e4m3fn])
def test_codes_of_quantised_weights_are_refused(model: PreTrainedModel, dtype: torch.dtype) -> None:
    stored = torch.ones(128, 64).to(dtype)
    coded = replace(patient(model), weight=lambda name: stored)
    with pytest.raises(NotMeasurable) as caught:
        diagnose(coded, how=HOW)
    assert str(caught.value) == (
        f"'{UP}.weight' is stored as {str(dtype).removeprefix('torch.')}, the code of a quantised weight: diagnose the "
        "model as it was before quantisation, or write both models out in bfloat16 first"
    )


def test_prompt_learning_has_no_update_to_be_diagnosed() -> None:
    with pytest.raises(NotMeasurable) as caught:
        moved(tuner("prompt_tuning", num_virtual_tokens=4), small_model()).update()
    assert str(caught.value) == "prompt_tuning adds virtual tokens and changes no weight"
