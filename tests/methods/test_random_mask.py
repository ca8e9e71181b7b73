"""Random masks hold as many as EPI, when EPI does, and what is held depends on seed, step and position alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from rivals import Loop, drifts_at_gradient_level, ends_as_if_never_stopped, holds_at_update_level, holds_on_lora, same

from holdfast.algebra.uniform import Uniform
from holdfast.core.errors import RecipeError
from holdfast.methods.epi import Epi
from holdfast.methods.isolation.seeds import seed_at
from holdfast.methods.random_mask import RandomMask
from holdfast.testing.laws import small_model

METHOD = RandomMask(ratio=0.2, first_refresh=2, interval=2, seed=0)


def test_it_holds_as_many_as_epi_and_when_epi_does() -> None:
    options: dict[str, Any] = {"ratio": 0.013, "interval": 2}
    one, other = (Loop().isolate(kind(**options), steps=40).run(0, 8).isolation for kind in (RandomMask, Epi))
    ours, theirs = (each.history.course("", 1, 1, ()).refreshes for each in (one, other))
    assert [(each.step, each.held) for each in ours] == [(each.step, each.held) for each in theirs]
    assert ours[0].step == 4 and ours[0].held == math.floor(0.013 * one.mask().size)


def test_what_is_held_does_not_depend_on_how_training_went() -> None:
    one = Loop().isolate(METHOD).run(0, 4).isolation.mask()
    other = Loop().isolate(METHOD).run(10, 14).isolation.mask()
    assert one == other


def test_another_seed_and_another_step_hold_others_by_chance() -> None:
    at_two = Loop().isolate(METHOD).run(0, 2).isolation.mask()
    at_four = Loop().isolate(METHOD).run(0, 4).isolation.mask()
    seeded = Loop().isolate(RandomMask(ratio=0.2, first_refresh=2, interval=2, seed=1)).run(0, 2).isolation.mask()
    for other in (at_four, seeded):
        # Two independent choices of a share p share p / (2 - p) of what either holds.
        assert at_two.jaccard(other) == pytest.approx(0.2 / 1.8, abs=0.01)


def test_without_a_seed_of_its_own_it_takes_that_of_the_training() -> None:
    found = []
    for seed in (5, 6, 5):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            method = RandomMask(ratio=0.2, first_refresh=2, interval=2)
            found.append(Loop().isolate(method).run(0, 2).isolation.mask())
    assert found[0] == found[2] != found[1]


def test_it_holds_the_positions_with_the_largest_numbers() -> None:
    """The slow twin: all numbers of all tensors in one list, and a full sort of it."""
    found = Loop().isolate(METHOD).run(0, 2).isolation.mask()
    shapes = {name: bits.shape for name, bits in found.items()}
    numbers = Uniform(shapes, seed_at(0, 2), {}, torch.device("cpu"))
    drawn = [
        (-number, order, place)
        for order, name in enumerate(found)
        for place, number in enumerate(numbers[name].flatten().tolist())
    ]
    chosen: list[list[int]] = [[] for _ in found]
    for _, order, place in sorted(drawn)[: math.floor(0.2 * len(drawn))]:
        chosen[order].append(place)
    for bits, places in zip(found.values(), chosen, strict=True):
        assert bits.positions().tolist() == sorted(places)


def test_seeds_of_steps_and_runs_do_not_meet() -> None:
    assert len({seed_at(seed, step) for seed in range(30) for step in range(300)}) == 30 * 300


def test_an_infinite_interval_is_random_and_static() -> None:
    static = Loop().isolate(RandomMask(ratio=0.2, first_refresh=1, interval=math.inf)).run(0, 2)
    mask = static.isolation.mask()
    assert static.run(2, 7).isolation.mask() == mask
    assert RandomMask(interval=math.inf).spec() == "random_mask(interval=1e999)"


def test_patience_holds_what_either_of_two_choices_drew() -> None:
    patient = (
        Loop()
        .isolate(RandomMask(ratio=0.2, first_refresh=2, interval=2, patience=2, seed=0))
        .run(0, 4)
        .isolation.mask()
    )
    first, second = (Loop().isolate(METHOD).run(0, end).isolation.mask() for end in (2, 4))
    assert patient == first | second


def test_a_share_of_zero_is_plain_training_bit_for_bit() -> None:
    none = RandomMask(ratio=0.0, first_refresh=1, interval=1)
    assert same(Loop().isolate(none).run(0, 4).weights(), Loop().run(0, 4).weights())


def test_held_scalars_keep_their_bits() -> None:
    holds_at_update_level(METHOD, before=2)


def test_with_masked_gradients_they_drift() -> None:
    drifts_at_gradient_level(METHOD, before=2)


def test_resumed_it_ends_as_if_never_stopped() -> None:
    ends_as_if_never_stopped(METHOD)


def test_it_works_on_an_adapter() -> None:
    holds_on_lora(RandomMask(ratio=0.2, first_refresh=1, interval=4))


def test_it_says_that_it_is_a_control_and_draws_at_random() -> None:
    isolation = Loop().isolate(METHOD).run(0, 3).isolation
    assert "held scalars are drawn at random: a control" in isolation.notes()
    assert isolation._rule.at_random


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"importance": "adam_v"}, "importance plays no part where scalars are drawn at random; leave it out"),
        ({"calibration": "mean"}, "calibration plays no part where scalars are drawn at random; leave it out"),
        ({"group": "tensor"}, "group plays no part where scalars are drawn at random; leave it out"),
        ({"reference_batches": 2}, "reference_batches plays no part where scalars are drawn at random; leave it out"),
        ({"ratio": 1.0}, "ratio=1.0 must be a share from 0 to below 1: 0.01 is one percent"),
        ({"seed": -1}, "seed=-1 must be a whole number of 0 or more"),
        ({"seed": 0.5}, "seed=0.5 must be a whole number of 0 or more"),
        ({"interval": 0.5}, "interval=0.5 must be a whole number of steps of 1 or more, or infinite"),
    ],
)
def test_options_out_of_range_are_told(options: dict[str, Any], fault: str) -> None:
    method = RandomMask(**options)
    assert f"random_mask: {fault}" in method.faults()
    with pytest.raises(RecipeError):
        method.isolate(small_model(), torch.optim.SGD(small_model().parameters()), steps=1)


def test_without_the_number_of_steps_its_default_interval_is_told() -> None:
    model = small_model()
    with pytest.raises(RecipeError, match="random_mask: the default of interval depends on how long training is"):
        RandomMask().isolate(model, torch.optim.AdamW(model.parameters()))
