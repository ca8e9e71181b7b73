"""A model is led along a direction and is bit for bit what it was afterwards, whatever happened."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small import bits, same_bits
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.algebra.low_rank import LowRank
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.weights.perturbing import sweep as subject
from holdfast.weights.perturbing.pristine import Copied, Stored
from holdfast.weights.perturbing.sweep import perturbed, sweeping
from holdfast.weights.rays import gaussian
from holdfast.weights.shards import Shards
from holdfast.weights.update import Update

DISTANCES = (0.01, -0.3, 0.0, 1e-6, 2.0, 0.01)
HALVES = [torch.float32, torch.bfloat16, torch.float16]


def direction(model: PreTrainedModel) -> Update:
    return gaussian(model, 3).update


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}


@pytest.mark.parametrize("dtype", [*HALVES, torch.float64])
def test_every_point_is_the_base_plus_the_update_rounded_once(model: PreTrainedModel, dtype: torch.dtype) -> None:
    model.to(dtype)
    way, before = direction(model), weights(model)
    with sweeping(model, way) as sweep:
        for distance in DISTANCES:
            assert sweep.to(distance) is model and sweep.distance == distance
            for name, now in weights(model).items():
                wide = before[name] if dtype == torch.float64 else before[name].float()
                assert torch.equal(now, (wide + distance * way[name].dense()).to(dtype) if distance else before[name])


def test_a_sweep_goes_where_adding_the_update_goes(model: PreTrainedModel) -> None:
    way = direction(model.bfloat16())
    other = copy.deepcopy(model)
    with perturbed(model, way, 0.02), way.scaled(0.02).added_to(other):
        assert same_bits(bits(model), bits(other))


@pytest.mark.parametrize("dtype", HALVES)
def test_the_model_is_what_it_was(model: PreTrainedModel, dtype: torch.dtype) -> None:
    model.to(dtype)
    model.model.norm.weight.data[0] = -0.0
    before = bits(model)
    with sweeping(model, direction(model)) as sweep:
        for distance in DISTANCES:
            assert same_bits(bits(sweep.to(distance)), before) == (distance == 0)
    assert same_bits(bits(model), before)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_model_is_what_it_was_after_an_error(
    model: PreTrainedModel, error: type[BaseException], dtype: torch.dtype
) -> None:
    before = bits(model.to(dtype))
    with pytest.raises(error), sweeping(model, direction(model)) as sweep:
        sweep.to(0.1)
        raise error
    assert same_bits(bits(model), before)


def test_the_model_is_what_it_was_after_an_interrupt_while_it_moves(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bits(model)
    real = subject.runs_of
    moved = []

    def interrupted(change: object) -> object:
        if len(moved) == 5:
            raise KeyboardInterrupt
        moved.append(change)
        return real(change)

    monkeypatch.setattr(subject, "runs_of", interrupted)
    with pytest.raises(KeyboardInterrupt), perturbed(model, direction(model), 0.1):
        pass
    assert len(moved) == 5 and same_bits(bits(model), before)


class Impatient(Copied):
    """Copies whose first reader is interrupted half way through."""

    def __init__(self, kept: dict[str, Tensor]) -> None:
        super().__init__(kept)
        self.read = 0

    def tensor(self, name: str) -> Tensor:
        self.read += 1
        if self.read == 4:
            raise KeyboardInterrupt
        return super().tensor(name)


def test_an_interrupt_while_weights_are_put_back_is_heard_after_they_are(model: PreTrainedModel) -> None:
    before = bits(model)
    kept = Impatient(dict(model.named_parameters()))
    kept.read = -21 - 21  # what is read for the check, and for the move
    with pytest.raises(KeyboardInterrupt), perturbed(model, direction(model), 0.1, stored=kept):
        pass
    assert kept.read == 4 + 21 and same_bits(bits(model), before)


def test_tied_weights_are_moved_once(model: PreTrainedModel) -> None:
    model.lm_head.weight = model.model.embed_tokens.weight
    before = model.lm_head.weight.detach().clone()
    way = direction(model)
    with perturbed(model, way, 0.5):
        assert torch.equal(model.lm_head.weight, before + 0.5 * way["model.embed_tokens.weight"].dense())
    assert torch.equal(model.lm_head.weight, before)


def test_buffers_are_left_alone_and_those_that_are_not_stored_may_change(model: PreTrainedModel) -> None:
    model.register_buffer("count", torch.zeros(2))
    model.register_buffer("scratch", torch.zeros(2), persistent=False)
    with perturbed(model, direction(model), 0.5):
        assert not model.count.any() and not model.scratch.any()
        model.scratch.fill_(1)


@pytest.mark.parametrize("name", ["count", "model.norm.weight"])
def test_a_model_that_something_else_has_changed_is_told(model: PreTrainedModel, name: str) -> None:
    model.register_buffer("count", torch.zeros(2))
    way = direction(model).only(lambda one: one != "model.norm.weight")
    said = rf"'{name}' \(1 in all\) is not after a sweep what it was before, so that nobody knows which model was meas"
    with pytest.raises(NotMeasurable, match=said), perturbed(model, way, 0.5):
        model.state_dict()[name].fill_(7)


def test_a_weight_that_is_not_laid_out_row_by_row_is_moved_alike(model: PreTrainedModel) -> None:
    other = copy.deepcopy(model)
    down = other.model.layers[0].mlp.down_proj
    down.weight = nn.Parameter(down.weight.detach().T.contiguous().T)
    assert not down.weight.is_contiguous()
    before = bits(other)
    with perturbed(model, direction(model), 0.1), perturbed(other, direction(other), 0.1):
        assert same_bits(bits(model), bits(other))
    assert same_bits(bits(other), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_are_rebuilt_from_the_checkpoint_in_its_own_precision(
    model: PreTrainedModel, tmp_path: Path, dtype: torch.dtype
) -> None:
    model.save_pretrained(tmp_path)
    way, wide = direction(model), weights(model)
    before = bits(model.to(dtype))
    with sweeping(model, way, Shards(tmp_path)) as sweep:
        for distance in (0.02, 0.0, 1e-3):
            sweep.to(distance)
            for name, now in weights(model).items():
                assert torch.equal(now, (wide[name] + distance * way[name].dense()).to(dtype))
    assert same_bits(bits(model), before)


def test_a_checkpoint_of_another_model_is_refused(model: PreTrainedModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        model.model.norm.weight[0] += 1
    before = bits(model)
    with (
        pytest.raises(IncompatibleUpdate, match=r"'model.norm.weight' is not in memory what it is in the checkpoint"),
        perturbed(model, direction(model), 0.1, Shards(tmp_path)),
    ):
        pass
    assert same_bits(bits(model), before)


def test_a_checkpoint_that_lacks_a_weight_is_refused(model: PreTrainedModel) -> None:
    stored: Stored = Copied({"model.norm.weight": model.model.norm.weight})
    said = (
        r"'model.embed_tokens.weight' is to be moved and is not in the checkpoint, from which it could not be rebuilt"
    )
    with pytest.raises(IncompatibleUpdate, match=said), perturbed(model, direction(model), 0.1, stored):
        pass


@pytest.mark.parametrize("distance", [float("nan"), float("inf")])
def test_distances_are_finite(model: PreTrainedModel, distance: float) -> None:
    with pytest.raises(ValueError, match=rf"a model at a distance of {distance} from its base: distances are finite"):
        perturbed(model, direction(model), distance).__enter__()


def test_a_direction_that_does_not_fit_is_refused(model: PreTrainedModel) -> None:
    strange = Update({"other.weight": LowRank(torch.ones(2, 1), torch.ones(1, 2))})
    with pytest.raises(IncompatibleUpdate, match="1 of 1 changed weights are not in this model"):
        perturbed(model, strange, 1.0).__enter__()
    with pytest.raises(NotMeasurable, match="a direction that moves no weight leads nowhere"):
        perturbed(model, Update({}), 1.0).__enter__()


def test_quantised_weights_are_refused(model: PreTrainedModel) -> None:
    way = direction(model)
    model.lm_head.weight = nn.Parameter(torch.zeros(128, 64, dtype=torch.int8), requires_grad=False)
    with pytest.raises(NotMeasurable, match=r"'lm_head.weight' is quantised \(torch.int8\)"):
        perturbed(model, way, 1.0).__enter__()


@pytest.mark.parametrize(("dtype", "least", "most"), [(torch.float32, 0.0, 1e-3), (torch.bfloat16, 0.9, 1.0)])
def test_what_rounding_takes_is_told_and_nothing_moves(
    model: PreTrainedModel, dtype: torch.dtype, least: float, most: float
) -> None:
    model.to(dtype)
    way = gaussian(model, 3, lambda name: "norm" in name).update
    with sweeping(model, way) as sweep:
        sweep.to(0.5)
        there = bits(model)
        found = sweep.rounding(1e-3)
        assert least <= found.vanished_frac <= most
        assert same_bits(bits(model), there)


def test_a_direction_in_any_form_is_followed(model: PreTrainedModel, inputs: Tensor) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    way = Update({name: LowRank(torch.ones(64, 2), torch.ones(2, 64))})
    before = model.get_parameter(name).detach().clone()
    with perturbed(model, way, 0.25) as moved:
        assert torch.equal(moved.get_parameter(name), before + 0.5)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_a_sweep_does_not_mind_who_counts_gradients(model: PreTrainedModel, mode: Callable[[], object]) -> None:
    before = bits(model)
    with sweeping(model, direction(model)) as sweep:
        sweep.to(0.1)
        with mode():
            sweep.to(0.2)
        sweep.to(0.3)
    assert same_bits(bits(model), before)
