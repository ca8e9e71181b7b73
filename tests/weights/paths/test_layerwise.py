"""Strong layers are weakened first and all together after, none is strengthened, and t is the length that is left."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layers import EXACT, adapter, base, lengths, update

from holdfast.core.errors import NotMeasurable
from holdfast.weights.paths.layerwise import Levelling, Place, level_to, place_of
from holdfast.weights.paths.strengths import Rule, size_strengths, turn_strengths

SIZES = st.lists(st.tuples(st.floats(1e-4, 2.0), st.floats(1e-3, 9.0)), min_size=5, max_size=12)
RULES = st.sampled_from(("safe", "min"))


def made(sizes: list[tuple[float, float]], rule: Rule = "min", outside: float = 0.0) -> Levelling:
    """Layers of these strengths and lengths, and something outside of them."""
    strengths: dict[int | str, float] = {layer: strength for layer, (strength, _) in enumerate(sizes)}
    return Levelling.of(
        strengths, {f"layers.{i}.w": length for i, (_, length) in enumerate(sizes)} | {"head": outside}, rule
    )


@given(SIZES, RULES, st.floats(0, 3), st.floats(0, 1))
def test_t_is_the_length_that_is_left_as_a_share_of_the_whole(
    sizes: list[tuple[float, float]], rule: Rule, outside: float, t: float
) -> None:
    factors = made(sizes, rule, outside).factors(t)
    left = math.hypot(outside * factors[None], *(factors[i] * length for i, (_, length) in enumerate(sizes)))
    assert left / math.hypot(outside, *(length for _, length in sizes)) == pytest.approx(t, abs=1e-9)


@given(SIZES, RULES, st.floats(0, 1), st.floats(0, 1))
def test_factors_grow_from_0_at_the_base_to_1_at_the_checkpoint_and_never_beyond(
    sizes: list[tuple[float, float]], rule: Rule, one: float, other: float
) -> None:
    levelling = made(sizes, rule, 1.0)
    before, after = (levelling.factors(t) for t in sorted((one, other)))
    for place in (None, *range(len(sizes))):
        assert 0 <= before[place] <= after[place] + 1e-9 and after[place] <= 1
    assert set(levelling.factors(0.0).values()) == {0.0}
    assert set(levelling.factors(1.0).values()) == {1.0}


@given(SIZES, RULES)
def test_the_published_point_lies_where_the_levelling_says(sizes: list[tuple[float, float]], rule: Rule) -> None:
    levelling = made(sizes, rule, 1.0)
    strengths = [strength for strength, _ in sizes]
    level = min(strengths) if rule == "min" else sum(strengths[:5]) / 5
    factors = levelling.factors(levelling.level_t)
    assert levelling.level == pytest.approx(level)
    assert factors == pytest.approx({None: 1.0} | {i: min(1, level / one) for i, one in enumerate(strengths)})
    half = levelling.factors(0.5 * levelling.level_t)
    assert half == pytest.approx({place: 0.5 * factor for place, factor in factors.items()})


@given(SIZES, st.floats(0, 1))
def test_above_the_level_the_strongest_are_level_and_the_others_as_they_were(
    sizes: list[tuple[float, float]], share: float
) -> None:
    levelling = made(sizes)
    factors = levelling.factors(levelling.level_t + share * (1 - levelling.level_t))
    after = [factors[i] * strength for i, (strength, _) in enumerate(sizes)]
    for (before, _), now in zip(sizes, after, strict=True):
        assert now == pytest.approx(min(before, max(after)))


def test_the_way_down_to_the_level_of_the_first_layers_is_the_same_on_both_paths() -> None:
    sizes = [(0.1 * (layer + 1), 1.0) for layer in range(8)]
    safe, least = made(sizes, "safe", 1.0), made(sizes, "min", 1.0)
    assert safe.level_t > least.level_t
    assert least.factors(safe.level_t) == pytest.approx(safe.factors(safe.level_t))
    assert least.factors(least.level_t) != pytest.approx(safe.factors(least.level_t))


def test_layers_of_one_strength_are_scaled_alike_from_the_start() -> None:
    levelling = made([(0.3, 1.0)] * 6, "safe", 2.0)
    assert levelling.level_t == pytest.approx(1.0)
    assert levelling.factors(0.4) == pytest.approx(dict.fromkeys((None, *range(6)), 0.4))


def test_what_did_not_move_is_no_reference_and_goes_with_what_lies_outside() -> None:
    levelling = made([(0.0, 0.0), (0.2, 1.0), (0.4, 1.0)])
    assert (levelling.level, levelling.strongest) == (0.2, 0.4)
    assert levelling.factors(levelling.level_t)[0] == 1.0
    # A module whose drift was measured and that did not move is no reference either.
    assert Levelling.of({0: 0.1, 1: 0.2, 2: 0.9}, {"layers.1.w": 1.0, "layers.0.w": 0.0}, "min").strongest == 0.2


@pytest.mark.parametrize("sizes", [[], [(0.0, 0.0)], [(0.0, 1.0)], [(1.0, 0.0)]])
def test_levelling_nothing_is_refused(sizes: list[tuple[float, float]]) -> None:
    with pytest.raises(NotMeasurable) as caught:
        made(sizes, outside=1.0)
    assert str(caught.value) == "levelling the strengths of layers: no layer moved"


def test_what_is_not_scaled_is_scaled_beyond_the_end_as_on_the_straight_line() -> None:
    assert set(made([(0.1, 1.0), (0.2, 1.0)]).factors(1.25).values()) == {1.25}


def test_lengths_of_a_layer_are_those_of_its_weights_together() -> None:
    change = update()
    levelling = Levelling.of(size_strengths(lengths(change), base()), lengths(change), "min")
    for layer in range(6):
        both = (change[f"layers.{layer}.{module}.weight"].norm() for module in ("up", "down"))
        assert levelling.lengths[layer] == pytest.approx(math.hypot(*both))
    assert levelling.lengths[None] == pytest.approx(change["head.weight"].norm())


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("layers.1.up.weight", "layers.1.up"),
        ("layers.1.up.bias", "layers.1.up"),
        ("base_model.model.layers.1.up.oft_R.weight", "layers.1.up"),
        ("base_model.model.layers.1.up.lora_B.weight", "layers.1.up"),
        ("layers.1.down.weight", 1),
        ("layers.1.upper.weight", 1),
        ("layers.1.norm.weight", 1),
        ("head.weight", None),
        ("embed.weight", "embed"),
    ],
)
def test_a_module_goes_before_its_layer_and_what_lies_outside_is_outside(name: str, place: Place) -> None:
    assert place_of(name, {1: 0.5, "layers.1.up": 0.1, "embed": 0.7}) == place


def test_a_layer_without_a_strength_is_refused() -> None:
    for ask in (
        lambda: place_of("layers.2.up.weight", {1: 0.5}),
        lambda: Levelling.of({0: 1.0, 1: 0.5}, lengths(update(3)), "min"),
    ):
        with pytest.raises(NotMeasurable) as caught:
            ask()
        assert str(caught.value) == (
            "a factor for 'layers.2.up.weight': layer 2 was not measured; measure every layer that was changed"
        )


@given(st.dictionaries(st.integers(0, 40), st.floats(1e-6, 2.0), min_size=1), st.floats(1e-6, 2.0))
def test_no_layer_is_strengthened_and_none_is_left_above_the_level(strengths: dict[int, float], level: float) -> None:
    factors = level_to({**strengths}, level)
    assert factors.keys() == strengths.keys()
    for layer, strength in strengths.items():
        assert 0 < factors[layer] <= 1
        assert factors[layer] * strength == pytest.approx(min(strength, level), rel=1e-12)
    assert level_to({"a": 0.0, "b": 2.0}, 1.0) == {"a": 1.0, "b": 0.5}


def test_strengths_by_angle_level_generators() -> None:
    tensors = adapter()
    levelling = Levelling.of(
        turn_strengths(tensors, EXACT), {name: float(q.norm()) for name, q in tensors.items()}, "min"
    )
    assert levelling.level == turn_strengths(tensors, EXACT)[0]
    assert levelling.factors(levelling.level_t)[0] == 1.0
