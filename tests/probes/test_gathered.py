"""What a sweep takes down, gathered into moments, is what all its rows at once give."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel
from twins import normal

from holdfast.algebra.delta import Dense
from holdfast.algebra.drift import drift
from holdfast.algebra.layer_inputs import SecondMoment, TokenSample
from holdfast.algebra.moments import Moments
from holdfast.algebra.procrustes import align, held_out_residual
from holdfast.algebra.similarity import gram_cosine_distance, similarity
from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.probes.gathered import FULL_ROWS, layer_inputs, mismatched, paired_moments, sampled
from holdfast.probes.sweep import Taken, sweep
from holdfast.probes.tokens import TokenChoice
from holdfast.weights.update import Update

UP, DOWN = "model.layers.1.mlp.up_proj", "model.layers.1.mlp.down_proj"
QUERY, KEY = "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj"
CHOICE = TokenChoice(tokens=6)


@pytest.fixture
def prompts() -> list[tuple[int, ...]]:
    source = random.Random(3)
    return [tuple(source.randrange(3, 128) for _ in range(source.randint(8, 20))) for _ in range(10)]


def taken_at_random(counts: list[int], sites: tuple[str, ...] = ("a", "b"), seed: int = 0) -> list[Taken]:
    return [
        Taken(
            index,
            f"key {index}",
            tuple(range(count)),
            {site: normal(count, 3 + at, seed=seed + 10 * index + at) for at, site in enumerate(sites)},
        )
        for index, count in enumerate(counts)
    ]


def all_rows(taken: list[Taken], site: str) -> Tensor:
    return torch.cat([each.rows[site] for each in taken])


def assert_same(found: Moments, wanted: Moments) -> None:
    assert found.rows == wanted.rows
    for name in ("mean", "before", "after", "cross", "gap", "third", "fourth"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("counts", [[4], [3, 1, 5], [FULL_ROWS, 2, FULL_ROWS + 9, 700, 700, 1]], ids=str)
def test_moments_of_a_sweep_are_those_of_all_its_rows(counts: list[int]) -> None:
    before, after = taken_at_random(counts), taken_at_random(counts, seed=5000)
    found = paired_moments(iter(before), iter(after))
    assert list(found) == ["a", "b"]
    for site, groups in found.items():
        assert list(groups) == [0]
        assert_same(groups[0], Moments.of(all_rows(before, site), all_rows(after, site)))


def test_no_more_rows_wait_than_are_added_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[int] = []
    whole = Moments.of
    monkeypatch.setattr(Moments, "of", lambda one, other, site: added.append(len(one)) or whole(one, other, site))
    paired_moments(*(taken_at_random([100] * 25, ("a",), seed=seed) for seed in (0, 5000)))
    assert added == [1100, 1100, 300]


def test_prompts_are_kept_apart_by_their_group() -> None:
    before, after = taken_at_random([5, 3, 4, 6]), taken_at_random([5, 3, 4, 6], seed=5000)
    for each in paired_moments(before, after, group=int).values():
        assert list(each) == [0, 1, 2, 3]
    found = paired_moments(before[::-1], after[::-1], group=lambda prompt: prompt % 2)["b"]
    assert list(found) == [0, 1]
    for number, half in found.items():
        assert_same(half, Moments.of(all_rows(before[number::2], "b"), all_rows(after[number::2], "b")))


def test_models_side_by_side_and_one_after_the_other_are_compared_alike(
    model: PreTrainedModel, prompts: list[tuple[int, ...]]
) -> None:
    update = Update({f"{UP}.weight": Dense(0.3 * normal(128, 64))})
    kept = list(sweep(model, prompts, [UP, DOWN], choice=CHOICE))
    with update.added_to(model):
        after = list(sweep(model, prompts, [UP, DOWN], choice=CHOICE, max_rows=3))
    found = paired_moments(kept, after)
    rows = [torch.cat([each.rows[DOWN] for each in side]) for side in (kept, after)]
    assert_same(found[DOWN][0], Moments.of(*rows))
    assert found[DOWN][0].rows == 60
    again = paired_moments(sweep(model, prompts, [DOWN], choice=CHOICE), sweep(model, prompts, [DOWN], choice=CHOICE))
    itself = similarity(again[DOWN][0], subspaces=(8,))
    assert itself.few_rows
    assert itself.values["procrustes_residual"] == itself.values["angular_drift_rad"] == 0
    assert itself.values["cka_unbiased"] == pytest.approx(1)
    assert itself.values["subspace_distance_k8"] < 1e-7


def test_rows_that_are_not_finite_are_refused_with_their_site() -> None:
    before, after = taken_at_random([4]), taken_at_random([4], seed=5000)
    after[0].rows["b"][2, 0] = torch.nan
    with pytest.raises(NotMeasurable, match="'b': 1 of 4 rows are not finite"):
        paired_moments(before, after)


def test_sweeps_that_do_not_belong_together_are_refused() -> None:
    taken = taken_at_random([4, 4])
    other_tokens = [Taken(each.prompt, each.key, (9, 8, 7, 6), each.rows) for each in taken]
    for others in (taken[::-1], other_tokens):
        with pytest.raises(IncompatibleUpdate) as caught:
            paired_moments(taken, others)
        assert str(caught.value) == (
            f"prompt 0 of one sweep and prompt {others[0].prompt} of the other are not the same tokens; "
            "sweep both models over the same prompts with the same choice"
        )
    for one, other in ((taken, taken[:1]), (taken[:1], taken)):
        with pytest.raises(IncompatibleUpdate) as caught:
            paired_moments(one, other)
        assert str(caught.value) == (
            "one sweep has more prompts than the other; sweep both models over the same prompts"
        )
    with pytest.raises(IncompatibleUpdate) as caught:
        paired_moments(taken, taken_at_random([4, 4], ("a",)))
    assert str(caught.value) == "'b' was taken down in only one of the two sweeps; choose the same sites"


def test_the_inputs_of_layers_give_the_drift_of_any_update_without_a_pass(
    model: PreTrainedModel, prompts: list[tuple[int, ...]]
) -> None:
    sites = (QUERY, KEY, DOWN)
    found = layer_inputs(sweep(model, prompts, sites, side="inputs", choice=CHOICE))
    assert list(found) == list(sites)
    kept = list(sweep(model, prompts, sites, side="inputs", choice=CHOICE))
    for site in sites:
        weight = model.get_parameter(f"{site}.weight").detach()
        change, rows = normal(*weight.shape), all_rows(kept, site).double()
        answer = drift(found[site][0], Dense(change), weight)
        moved, said = (float(((rows @ matrix.double().T) ** 2).sum(1).mean()) for matrix in (change, weight))
        assert isinstance(found[site][0], SecondMoment)
        assert answer.absolute == pytest.approx(moved, rel=1e-6)
        assert answer.relative == pytest.approx(moved / said, rel=1e-5)
    assert found[QUERY][0] is found[KEY][0]


def test_drift_is_what_the_update_does_to_the_first_layer_that_it_changes(
    model: PreTrainedModel, prompts: list[tuple[int, ...]]
) -> None:
    change = Dense(0.1 * normal(64, 128, dtype=torch.float32))
    inputs = layer_inputs(sweep(model, prompts, [DOWN], side="inputs", choice=CHOICE))[DOWN][0]
    before = list(sweep(model, prompts, [DOWN], choice=CHOICE))
    with Update({f"{DOWN}.weight": change}).added_to(model):
        after = list(sweep(model, prompts, [DOWN], choice=CHOICE))
    apart = all_rows(after, DOWN).double() - all_rows(before, DOWN).double()
    assert drift(inputs, change).absolute == pytest.approx(float((apart**2).sum(1).mean()), rel=1e-4)


def test_wide_layers_keep_a_sample_of_each_prompt() -> None:
    taken = taken_at_random([5, 9, 7])
    found = layer_inputs(taken, widest=3, sample_tokens=2)
    narrow, wide = found["a"][0], found["b"][0]
    assert isinstance(narrow, SecondMoment)
    assert isinstance(wide, TokenSample)
    assert (narrow.tokens, wide.tokens) == (21, 6)
    assert torch.equal(wide.rows, torch.cat([each.rows["b"][:2] for each in taken]))
    whole = layer_inputs(taken, widest=3, sample_tokens=99)["b"][0]
    change = Dense(normal(2, 4))
    assert drift(whole, change).absolute == pytest.approx(drift(layer_inputs(taken)["b"][0], change).absolute)


@pytest.mark.parametrize("widest", [3, 100])
def test_inputs_are_kept_apart_by_the_group_of_their_prompt(widest: int) -> None:
    taken = taken_at_random([5, FULL_ROWS + 5, 7, FULL_ROWS])
    halves = layer_inputs(taken, group=lambda prompt: prompt % 2, widest=widest, sample_tokens=10**6)["b"]
    assert [half.tokens for half in halves.values()] == [12, 2 * FULL_ROWS + 5]
    rows = all_rows(taken[::2], "b")
    assert halves[0].size() == pytest.approx(float((rows**2).sum(1).mean()))
    both = halves[0] + halves[1]
    assert both.size() == pytest.approx(float((all_rows(taken, "b") ** 2).sum(1).mean()))


def test_a_sample_is_the_same_tokens_whatever_the_order_of_prompts(
    model: PreTrainedModel, prompts: list[tuple[int, ...]]
) -> None:
    one, other = (sampled(sweep(model, order, [DOWN], choice=CHOICE), 4)[DOWN] for order in (prompts, prompts[::-1]))
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)

    def distance(order: list[tuple[int, ...]], max_rows: int) -> float:
        before = sampled(sweep(model, order, [DOWN], choice=CHOICE, max_rows=max_rows), 4)
        with Update({f"{UP}.weight": Dense(0.3 * normal(128, 64))}).added_to(model):
            after = sampled(sweep(model, order, [DOWN], choice=CHOICE), 4)
        assert before[DOWN].shape == (40, 64)
        return gram_cosine_distance(before[DOWN], after[DOWN])

    assert distance(prompts, 1) == pytest.approx(distance(prompts[::-1], 8), rel=1e-5)
    assert distance(prompts, 1) > 0.01


def test_prompts_paired_with_others_are_unrelated(model: PreTrainedModel, prompts: list[tuple[int, ...]]) -> None:
    taken = list(sweep(model, prompts, [DOWN], choice=CHOICE))
    null = mismatched(taken)
    for each, other in zip(taken, null, strict=True):
        assert (each.prompt, each.key, each.positions) == (other.prompt, other.key, other.positions)
        assert not torch.equal(each.rows[DOWN], other.rows[DOWN])
    halves = paired_moments(taken, null, group=lambda prompt: prompt % 2)[DOWN]
    assert held_out_residual(halves[0], halves[1]) > 1
    assert align(halves[0]).residual < held_out_residual(halves[0], halves[1])


def test_equal_prompts_are_not_taken_for_others() -> None:
    one, two, three = taken_at_random([4, 4, 4])
    twice = [one, Taken(1, one.key, one.positions, one.rows), two, Taken(3, two.key, two.positions, two.rows)]
    for each, other in zip(twice, mismatched(twice), strict=True):
        assert not torch.equal(each.rows["a"], other.rows["a"])
    same = "a null by pairing prompts with others: too many of the prompts are the same"
    for taken, reason in (
        ([one], same),
        ([one, one, three], same),
        (taken_at_random([4, 5]), "a null by pairing prompts with others: choose as many tokens of each prompt"),
    ):
        with pytest.raises(NotMeasurable) as caught:
            mismatched(taken)
        assert str(caught.value) == reason
