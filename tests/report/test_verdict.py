"""What is said, and what is not said where an interval includes 0."""

from __future__ import annotations

from holdfast.report.comparison import Versus
from holdfast.report.verdict import headline, verdict

SURE = {"gain_interval": (0.2, 0.6)}
UNSURE = {"gain_interval": (-0.1, 0.6)}
LOST = {"forgetting": 0.3, "forgetting_interval": (0.2, 0.4)}


def versus(gain: tuple[float, float], p: float, forgetting: tuple[float, float] = (-0.1, 0.1)) -> Versus:
    return Versus(
        gain=sum(gain) / 2, gain_interval=gain, gain_p=p, forgetting=0.0, forgetting_interval=forgetting, forgetting_p=p
    )


def test_the_title_names_methods_base_and_target(tell) -> None:
    comparison = tell({"name": "lora", "gain": 0.1}, base="/somewhere/models/mine")
    assert headline(comparison) == "1 fine-tuning method on mine, learning “cant”"


def test_the_largest_gain_and_the_least_forgetting_among_those_that_gained_are_named(tell) -> None:
    said = verdict(
        tell(
            {"name": "lora", "gain": 0.4, **SURE, **LOST},
            {"name": "oft", "gain": 0.3, **SURE, "forgetting": 0.1, "forgetting_interval": (0.05, 0.2)},
            {"name": "dora", "gain": 0.9, **UNSURE, "forgetting": 0.0},
        )
    )
    assert said.startswith(
        "On “cant”, 2 of 3 methods at the budget gained beyond the noise of measurement; the largest gain measured is "
        "that of lora, +0.400 [0.200, 0.600]. Of those that gained, oft kept most: it forgot 0.100 [0.050, 0.200]."
    )


def test_a_method_that_gained_most_and_kept_most_is_named_once(tell) -> None:
    said = verdict(
        tell({"name": "lora", "gain": 0.4, **SURE}, {"name": "oft", "gain": 0.3, **SURE, **LOST}),
    )
    assert "both methods at the budget gained" in said
    assert "it also kept most: it shows no forgetting beyond the noise (0.000)." in said


def test_no_gain_is_claimed_where_every_interval_includes_0(tell) -> None:
    said = verdict(tell({"name": "lora", "gain": 0.4, **UNSURE}, {"name": "oft", "gain": 0.2, **UNSURE}))
    assert said.startswith("On “cant”, no method at the budget gained beyond the noise of measurement.")
    assert "largest" not in said


def test_a_single_method_is_not_compared_with_itself(tell) -> None:
    assert verdict(tell({"name": "oft", "gain": 0.4, **SURE, **LOST})).startswith(
        "On “cant”, oft, the only method at the budget, gained +0.400 [0.200, 0.600]. It forgot 0.300 [0.200, 0.400]."
    )
    assert "oft, the only method at the budget, did not gain beyond" in verdict(tell({"name": "oft", **UNSURE}))


def test_a_loss_on_the_target_is_said(tell) -> None:
    said = verdict(tell({"name": "oft", "gain": -0.4, "gain_interval": (-0.5, -0.3)}, {"name": "lora", **UNSURE}))
    assert "Worse than the base on the target itself: oft." in said


def test_gains_shown_apart_are_not_ranked(tell) -> None:
    said = verdict(tell({"name": "full", "gain": 0.8, **SURE, "ranked": False, "standing": "unbudgeted"}))
    assert said.startswith("No method at the budget has a result. Of those shown apart, full (+0.800) gained too.")


def test_the_frontier_says_who_is_there_for_sure(tell) -> None:
    there = {"on_frontier": True, **SURE}
    said = verdict(
        tell({"name": "a", "non_dominated_frac": 0.99, **there}, {"name": "b", "non_dominated_frac": 0.5, **there})
    )
    assert "On the frontier lie the untouched base, a and b, of the methods only a for sure." in said
    said = verdict(tell({"name": "a", "non_dominated_frac": 0.5, **there}, {"name": "b"}))
    assert "On the frontier lie the untouched base and a, none of the methods for sure." in said
    assert "Nobody at the budget joins the untouched base on the frontier." in verdict(
        tell({"name": "a"}, {"name": "b"})
    )


def test_a_base_that_is_beaten_is_not_on_the_frontier(tell) -> None:
    comparison = tell({"name": "a", "on_frontier": True, "non_dominated_frac": 1.0, **SURE})
    base, a = comparison.points
    said = verdict(comparison.model_copy(update={"points": (base.model_copy(update={"on_frontier": False}), a)}))
    assert "On the frontier lies a, for sure. The untouched base does not:" in said


def test_only_sure_domination_by_the_base_is_said(tell) -> None:
    said = verdict(tell({"name": "a", "dominated_by_base_frac": 0.98}, {"name": "b", "dominated_by_base_frac": 0.97}))
    assert "For sure no better than the untouched base on either side, and worse on one: a." in said


def test_forgetting_is_told_apart_from_noise_and_from_improvement(tell) -> None:
    better = {"forgetting": -0.2, "forgetting_interval": (-0.3, -0.1)}
    said = verdict(tell({"name": "a", **LOST}, {"name": "b", "forgetting": 0.1, "forgetting_interval": (-0.1, 0.3)}))
    assert "No forgetting beyond the noise of measurement: b." in said
    assert "Every method" not in said
    assert "Better than the base even on what was to be kept: a." in verdict(
        tell({"name": "a", **better}, {"name": "b"})
    )
    assert "Every method that has a result forgot something." in verdict(
        tell({"name": "a", **LOST}, {"name": "b", **LOST})
    )


def test_against_lora_both_the_interval_and_the_adjusted_p_value_must_hold(tell) -> None:
    said = verdict(
        tell(
            {"name": "lora", **SURE},
            {"name": "a", "versus_lora": versus((0.1, 0.3), 0.01)},
            {"name": "b", "versus_lora": versus((0.1, 0.3), 0.2)},
            {"name": "c", "versus_lora": versus((-0.1, 0.3), 0.01, forgetting=(-0.3, -0.1))},
        )
    )
    assert "Against lora, and adjusted for the number of comparisons, a gained more; c forgot less." in said
    said = verdict(tell({"name": "lora"}, {"name": "b", "versus_lora": versus((0.1, 0.3), 0.2)}))
    assert "Against lora, no difference holds once it is adjusted for the number of comparisons." in said
    assert "Against" not in verdict(tell({"name": "a"}, {"name": "b"}))


def test_nothing_is_compared_where_nobody_has_a_result(tell) -> None:
    said = verdict(tell({"name": "lora", "ranked": False, "failure": "out of memory"}))
    assert said == "No method has a result, so there is nothing to compare."
    assert verdict(tell()) == "No method took part."


def test_who_failed_is_named_at_the_end(tell) -> None:
    said = verdict(tell({"name": "lora", **SURE}, {"name": "oft", "ranked": False, "failure": "out of memory"}))
    assert said.endswith("Without a result: oft.")


def test_one_seed_is_said_and_two_are_not(tell) -> None:
    assert "All this rests on one training seed" in verdict(tell({"name": "a", **SURE, "seeds": 1}))
    assert "seed" not in verdict(tell({"name": "a", **SURE}))


def test_gains_of_likelihood_carry_their_unit(tell) -> None:
    assert "gained +0.400 [0.200, 0.600] nats/token." in verdict(
        tell({"name": "a", "gain": 0.4, **SURE}, gain_unit="nats/token")
    )


def test_long_lists_are_cut_with_a_count(tell) -> None:
    said = verdict(tell(*({"name": f"method-{i}", **LOST, "dominated_by_base_frac": 1.0} for i in range(9))))
    assert "method-4 and 4 more." in said
