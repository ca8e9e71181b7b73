"""What is said of choices that drift, fluctuate, stand, or are drawn at random."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.report.isolation.phrases import percent, spread
from holdfast.report.isolation.readings import Drift, Over, Reading
from holdfast.report.isolation.verdict import MOST_LINES, isolation_verdict, notes_of


def drift(name: str, *courses) -> Drift:
    return Drift(name, {seed: Reading(course) for seed, course in enumerate(courses, start=1)})


def verdict(*courses, name: str = "epi") -> tuple[str, ...]:
    return isolation_verdict([drift(name, *courses)])


def test_drift_is_told_with_both_distances_and_chance(course) -> None:
    found = Reading(course("drift", draw=1))
    (line,) = verdict(found.course)
    assert line == (
        f"epi drifts: of what it held at step 20, {percent(found.ends_kept_frac)} are held at step 200, and "
        f"{percent(found.half_kept_frac)} were at step 100; of random choices 1.0% would be. From one choice to the "
        f"next {percent(found.neighbour_kept_frac)} stay in the median."
    )
    assert found.ends_kept_frac < found.half_kept_frac < found.neighbour_kept_frac


def test_over_seeds_the_spread_is_told(course) -> None:
    courses = [course("drift", draw=draw) for draw in (1, 2, 3)]
    kept = [Reading(each).ends_kept_frac for each in courses]
    (line,) = verdict(*courses)
    assert f"{percent(np.mean(kept))} ({percent(min(kept))} to {percent(max(kept))} over 3 seeds) are held" in line


def test_noise_that_levels_off_is_not_called_drift(course) -> None:
    (line,) = verdict(course("noise", draw=3), name="noisy")
    assert line.startswith("noisy moves but does not drift on: of what it held at step 20, ")


def test_choices_that_settle_after_the_first_do_not_drift_on(course_from) -> None:
    masks = [np.roll(np.arange(2000) < 200, 100 * bool(place)) for place in range(8)]
    (line,) = verdict(course_from(masks, range(8)))
    assert line == (
        "epi moves but does not drift on: of what it held at step 0, 50% are held at step 7, and 50% were at step 3; "
        "of random choices 10% would be. From one choice to the next 100% stay in the median."
    )


def test_choices_that_hardly_move_and_those_that_do_not(course, course_from) -> None:
    assert verdict(course("still")) == ("epi chose 10 times, and took the same scalars every time.",)
    masks = [np.arange(2000) < 200 for _ in range(5)]
    masks[3] = masks[4] = np.roll(masks[0], 2)
    assert verdict(course_from(masks, [1, 2, 3, 4, 5]))[0].startswith(
        "epi hardly moves: of what it held at step 1, 99% are held at step 5; of random choices 10% would be."
    )


def test_a_single_change_on_the_way_is_not_the_same_every_time(course_from) -> None:
    mask = np.arange(2000) < 200
    (line,) = verdict(course_from([mask, mask, np.roll(mask, 50), mask, mask, mask], range(6)))
    assert line.startswith("epi hardly moves: of what it held at step 0, 100% are held at step 5")


def test_two_choices_do_not_tell_drift_from_noise(course) -> None:
    (line,) = verdict(course("drift", choices=2))
    assert line.endswith("From two choices it cannot be told whether it moves on.")


def test_a_first_choice_of_which_nothing_is_left_is_told(course) -> None:
    (line,) = verdict(course("drift", choices=90, draw=2))
    assert line.startswith("epi drifts until what is left of its first choice may be chance: ")


def test_choices_at_chance_of_who_is_no_control_are_told(course) -> None:
    (line,) = verdict(course("random").model_copy(update={"at_random": False}))
    assert line.startswith("epi chooses as if at random: of one choice the next holds ")
    assert line.endswith("and of random ones it would hold 1.0%.")


def test_who_chose_once_never_chose_anew(course) -> None:
    assert verdict(course("drift", choices=1), name="static") == ("Chose once and never anew: static (at step 20).",)


@pytest.mark.parametrize("draw", range(8))
def test_random_controls_sit_at_chance(course, draw: int) -> None:
    assert verdict(course("random", draw=draw), name="random") == ("At chance, as random controls should be: random.",)


def test_a_random_control_that_is_not_at_chance_is_called_out(course) -> None:
    wrong = course("still").model_copy(update={"at_random": True})
    (line,) = verdict(wrong, name="random")
    assert line.startswith(
        "random is a random control and does not sit at chance: 100% stay from one choice to the next, where 1.0% are "
        "expected, "
    )
    assert line.endswith("drawn independently of each other, so do not hold others against it.")


def test_a_random_control_that_avoids_what_it_held_is_called_out_too(course_from) -> None:
    masks = [np.arange(2000) // 200 == place for place in range(6)]
    (line,) = verdict(course_from(masks, range(6), at_random=True), name="random")
    assert "does not sit at chance: 0% stay from one choice to the next, where 10% are expected" in line


def test_a_control_of_whole_layers_is_not_held_against_the_chance_of_scalars(course_from) -> None:
    parts = np.repeat(np.arange(12), 100)
    masks = [np.isin(parts, chosen) for chosen in ([0, 1, 2], [0, 1, 5], [0, 2, 5])]
    (line,) = verdict(course_from(masks, [1, 2, 3], at_random=True), name="hft")
    assert line == (
        "Not held against chance, which is that of single scalars: hft, where whole parts of the model are drawn at "
        "random."
    )


def test_choices_that_are_not_on_record_count(course) -> None:
    found = course("still").model_copy(update={"choices": 40})
    assert verdict(found) == ("epi chose 40 times, and took the same scalars every time.",)


def test_who_held_nothing_is_told(course) -> None:
    assert verdict(course("drift", choices=0)) == ("Held nothing: epi.",)
    assert verdict(course("drift", choices=3, share=0.0)) == ("Held nothing: epi.",)


def test_empty_choices_before_the_first_are_passed_over(course) -> None:
    assert " of what it held at step 60, " in verdict(course("drift", sizes=[0, 0, *[200] * 8]))[0]


def test_who_holds_everything_took_the_same_every_time(course) -> None:
    assert verdict(course("drift", share=1.0)) == ("epi chose 10 times, and took the same scalars every time.",)


def test_of_many_entrants_the_rest_is_counted(course) -> None:
    one = course("drift")
    lines = isolation_verdict([drift(f"epi-{place}", one) for place in range(40)])
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "34 further entrants that chose anew can be looked up in the table."


def test_notes_are_told_once_with_the_entrants_they_are_about(course) -> None:
    one, other = course("still", notes=("Seen after clipping.",)), course("still", notes=("In bf16.",))
    found = notes_of([drift("a", one, one), drift("b", one, other), drift("c", other)])
    assert found == ("a and b: Seen after clipping.", "b and c: In bf16.")


@pytest.mark.parametrize(
    ("frac", "text"),
    [
        (0.0, "0%"),
        (1.0, "100%"),
        (1e-6, "under 0.01%"),
        (0.0042, "0.42%"),
        (0.00997, "1.0%"),
        (0.0512, "5.1%"),
        (0.0996, "10%"),
        (0.314, "31%"),
        (0.9949, "99%"),
        (0.9961, "99.6%"),
        (0.9999, "over 99.9%"),
    ],
)
def test_shares_are_never_rounded_to_none_or_all(frac: float, text: str) -> None:
    assert percent(frac) == text


def test_a_spread_that_cannot_be_seen_is_not_written() -> None:
    assert spread(Over(0.5, (0.499, 0.501), 3)) == "50%"
    assert spread(Over(0.5, (0.4, 0.6), 2)) == "50% (40% to 60% over 2 seeds)"
