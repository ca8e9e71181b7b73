"""A small model's scores are read at a larger model's layers by type and relative depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from holdfast.core.errors import HoldfastError, NotMeasurable, RecipeError
from holdfast.core.parameter_plan import ParameterPlan, PlannedTensor
from holdfast.methods.small_to_large.mapping import mapped, profiles_of, read_at, sizes_of
from holdfast.methods.small_to_large.places import Place, layers_of, place_of
from holdfast.models.base import skeleton


def plan_of(scores: Mapping[str, float | None], chosen: Sequence[str] = (), size: int = 10) -> ParameterPlan:
    tensors = [PlannedTensor(name=n, params=size, chosen=n in chosen, score=s) for n, s in scores.items()]
    return ParameterPlan(
        task="t", method="trace_probe", seed=3, model_params=100, model_tensors=9, tensors=tuple(tensors)
    )


def names(kind: str, layers: int) -> list[str]:
    return [f"model.layers.{layer}.{kind}" for layer in range(layers)]


def scored(**profiles: Sequence[float]) -> dict[str, float | None]:
    return {name: s for kind, row in profiles.items() for name, s in zip(names(kind, len(row)), row, strict=True)}


SMALL = scored(q=[0.1, 0.5, 0.3], up=[0.9, 0.0, 0.2])
LARGER = dict.fromkeys([*names("q", 6), *names("up", 6), "model.norm.weight"], 4)


def by_hand(known: Sequence[float], layer: int, layers: int) -> float:
    """Between the two known layers around a depth, nearer counts more."""
    at = layer / (layers - 1) * (len(known) - 1)
    below = min(int(at), len(known) - 2)
    return known[below] + (at - below) * (known[below + 1] - known[below])


def test_scores_lie_on_straight_lines_over_relative_depth() -> None:
    plan = mapped(plan_of(SMALL), LARGER, ratio=0.25)
    found = {tensor.name: tensor.score for tensor in plan.tensors}
    for kind, known in {"q": [0.1, 0.5, 0.3], "up": [0.9, 0.0, 0.2]}.items():
        for layer in range(6):
            assert found[f"model.layers.{layer}.{kind}"] == pytest.approx(by_hand(known, layer, 6))
    assert [t.name for t in plan.chosen] == ["model.layers.3.q", "model.layers.0.up", "model.layers.1.up"]
    assert (plan.task, plan.method, plan.seed, plan.model_params, plan.model_tensors) == ("t", "trace_probe", 3, 52, 13)
    assert [tensor.name for tensor in sorted(plan.tensors, key=lambda t: t.rank or 0)][:2] == [
        "model.layers.0.up",
        "model.layers.1.up",
    ]
    assert (plan.probe_identity, plan.start_identity) == (None, None)


def test_a_model_of_as_many_layers_keeps_every_score() -> None:
    plan = mapped(plan_of(SMALL), dict.fromkeys(SMALL, 4), ratio=0.5)
    assert {tensor.name: tensor.score for tensor in plan.tensors} == pytest.approx(SMALL)


def test_a_smaller_model_can_be_mapped_to_as_well() -> None:
    plan = mapped(plan_of(SMALL), dict.fromkeys(names("q", 2), 4), ratio=0.5)
    assert [tensor.score for tensor in plan.tensors] == pytest.approx([0.1, 0.3])
    assert [tensor.name for tensor in plan.chosen] == ["model.layers.1.q"]


def test_a_type_that_some_layers_lack_is_read_from_those_that_have_it() -> None:
    known = {"h.0.a": 1.0, "h.2.b": 4.0, "h.4.b": 8.0}
    found = read_at(profiles_of(plan_of(known)), ["h.0.b", "h.3.b", "h.4.b", "h.1.a"], "it")
    assert found == {"h.0.b": 4.0, "h.3.b": 6.0, "h.4.b": 8.0, "h.1.a": 1.0}


def test_tensors_outside_of_layers_go_over_by_name() -> None:
    plan = mapped(plan_of({**SMALL, "model.norm.weight": 0.7}), LARGER)
    assert {tensor.name: tensor.score for tensor in plan.tensors}["model.norm.weight"] == 0.7
    assert place_of("model.norm.weight") == Place("model.norm.weight", None)
    assert place_of("transformer.h.11.mlp.c_fc.weight") == Place("transformer.h.*.mlp.c_fc.weight", 11)
    assert place_of("layers.0.experts.3.w") == Place("layers.*.experts.3.w", 0)
    assert place_of("0.w") == Place("*.w", 0)
    assert layers_of(["a.0.x", "a.4.x", "b.1.x", "norm"]) == {"a.": 5, "b.": 2}


def test_types_of_one_model_alone_are_told() -> None:
    larger = dict.fromkeys([*names("q", 4), *names("q_norm", 4), "embed.weight"], 4)
    told = mapped(plan_of(SMALL), larger, name="big", ratio=0.25).settings
    assert told["types_only_small"] == ["model.layers.*.up"]
    assert told["types_without_score"] == ["model.layers.*.q_norm", "embed.weight"]
    assert told["layers"] == {"small": {"model.layers.": 3}, "larger": {"model.layers.": 4}}
    assert (told["mapped_to"], told["ratio"], told["budget"]) == ("big", 0.25, "tensors")
    assert (told["small_model_params"], told["small_probe_identity"], told["small_settings"]) == (100, None, {})


def test_a_budget_of_parameters_takes_the_best_that_fit() -> None:
    sizes = {"h.0.a": 60, "h.1.a": 10, "h.0.b": 20, "h.1.b": 10}
    small = plan_of({"h.0.a": 4.0, "h.1.a": 3.0, "h.0.b": 2.0, "h.1.b": 1.0})
    assert [t.name for t in mapped(small, sizes, ratio=0.3, budget="params").chosen] == ["h.1.a", "h.0.b"]
    assert [t.name for t in mapped(small, sizes, ratio=0.75).chosen] == ["h.0.a", "h.1.a", "h.0.b"]


def test_shares_are_exact_and_ties_fall_to_the_first() -> None:
    plan = mapped(plan_of(scored(q=[0.5] * 2)), dict.fromkeys(names("q", 100), 1), ratio=0.07)
    assert [tensor.name for tensor in plan.chosen] == names("q", 7)


def test_a_real_skeleton_is_enough() -> None:
    small, larger = skeleton("miniature"), LlamaForCausalLM(LlamaConfig(hidden_size=32, num_hidden_layers=3))
    sizes = sizes_of(small)
    assert sizes == {name: tensor.numel() for name, tensor in small.named_parameters()}
    inside = {name: float(at) for at, name in enumerate(sizes) if "proj" in name}
    plan = mapped(plan_of(inside), sizes_of(larger), ratio=0.5)
    assert len(plan.tensors) == 3 * 7
    assert len(plan.chosen) == 10


def test_a_plan_without_scores_is_refused() -> None:
    with pytest.raises(HoldfastError) as caught:
        mapped(plan_of({**SMALL, "model.layers.1.up": None}), LARGER)
    assert str(caught.value) == (
        "the plan of task 't' has no score for 'model.layers.1.up' (1 of 6 tensors lack one), and scores are what is "
        "carried over; give a plan that a probe has made"
    )
    with pytest.raises(HoldfastError) as caught:
        mapped(plan_of({}), LARGER)
    assert str(caught.value) == "the plan of task 't' names no tensor that could be trained"


def test_a_plan_of_parts_of_tensors_is_refused() -> None:
    whole = plan_of(SMALL)
    part = whole.tensors[0].model_copy(update={"chosen": True, "chosen_params": 3})
    with pytest.raises(HoldfastError) as caught:
        mapped(whole.model_copy(update={"tensors": (part, *whole.tensors[1:])}), LARGER)
    assert str(caught.value) == (
        "the plan of task 't' chooses parts of tensors, such as of 'model.layers.0.q', and rows of one model are not "
        "those of another; probe with granularity='tensor'"
    )


def test_another_family_is_refused() -> None:
    with pytest.raises(HoldfastError) as caught:
        mapped(plan_of(SMALL), dict.fromkeys([f"transformer.h.{i}.c_{x}" for x in "abcd" for i in range(3)], 1))
    assert str(caught.value) == (
        "no module type of the small plan is found in the larger model: the plan speaks of 'model.layers.*.q', "
        "'model.layers.*.up', the model has 'transformer.h.*.c_a', 'transformer.h.*.c_b', 'transformer.h.*.c_c' and "
        "1 more; are they of one family?"
    )


@pytest.mark.parametrize(("small", "larger", "whose"), [(1, 4, "the small model"), (4, 1, "big")])
def test_a_single_layer_has_no_depth(small: int, larger: int, whose: str) -> None:
    with pytest.raises(NotMeasurable) as caught:
        mapped(plan_of(scored(q=[0.5] * small)), dict.fromkeys(names("q", larger), 1), name="big")
    assert str(caught.value) == (
        f"{whose} has a single layer ('model.layers.'), which is as much its first as its last: relative depth, by "
        "which scores are carried from model to model, needs two"
    )


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            {"ratio": 0.01},
            "the larger model: ratio=0.01 of 12 eligible units selects nothing; give a higher ratio",
        ),
        (
            {"ratio": 0.05, "budget": "params"},
            "the larger model: ratio=0.05 of 48 eligible scalars selects nothing; the smallest of them has 4; give a "
            "higher ratio",
        ),
        ({"ratio": 0.0}, "ratio=0.0 must be a share above 0 and at most 1: 0.1 trains ten percent of what is eligible"),
        ({"ratio": 1.5}, "ratio=1.5 must be a share above 0 and at most 1: 0.1 trains ten percent of what is eligible"),
        ({"budget": "rows"}, "unknown budget 'rows': known are: tensors, params"),
    ],
)
def test_impossible_shares_are_refused(options: dict, fault: str) -> None:
    with pytest.raises(RecipeError) as caught:
        mapped(plan_of(SMALL), LARGER, **options)
    assert caught.value.faults == (fault,)
