"""The words of a diagnosis, exactly."""

from __future__ import annotations

import pytest

from holdfast.report.diagnosis.phrases import blocks, brief, power, share
from holdfast.report.diagnosis.verdict import headline, verdict_of

Q, DOWN = "self_attn.q_proj", "mlp.down_proj"


def site(block: int, module: str = DOWN) -> str:
    return f"model.layers.{block}.{module}"


def line(diagnosis, beginning: str) -> str:
    """The one line of the verdict that begins so."""
    (found,) = [each for each in verdict_of(diagnosis) if each.startswith(beginning)]
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.2, "0.200"),
        (0.0213, "0.0213"),
        (1.0, "1.00"),
        (12.34, "12.3"),
        (99.97, "100"),
        (1234.5, "1,234"),
        (0.000012, "1.2e-5"),
        (-0.00471, "-0.0047"),
    ],
)
def test_numbers_have_about_three_digits_that_count(value: float, text: str) -> None:
    assert brief(value) == text


def test_places_and_counts_are_written_as_people_say_them() -> None:
    assert (blocks([3]), blocks([3, 4, 5])) == ("block 3", "blocks 3 to 5")
    assert (share(2, 3, "weight"), share(3, 3, "weight"), share(1, 1, "weight")) == (
        "2 of 3 weights",
        "all 3 weights",
        "the only weight",
    )
    assert power(-3) == "10⁻³"


def test_the_title_names_both(small) -> None:
    assert headline(small) == "What lora changed in miniature"


def test_the_whole_verdict_of_an_update_on_two_sets_of_prompts(build) -> None:
    values = {
        ("relative_size_frobenius", site(1)): 0.35,
        ("relative_size_frobenius", site(2)): 0.4,
        ("drift_relative/general", site(1)): 0.08,
        ("drift_ratio_relative", site(0)): 2.0,
        ("procrustes_residual/general", site(2)): 0.6,
        ("procrustes_residual/general", site(0)): 0.1,
        ("cka_unbiased/target", site(1)): 0.4,
    }
    assert verdict_of(build((Q, DOWN), 3, values=values)) == (
        "The update (lora adapter) covers 1,000 of 600,000 parameters and moves them by 0.200 of their norm.",
        "For their own norm, mlp.down_proj (0.350) moved most in the median, self_attn.q_proj (0.200) least; the "
        "largest change of one weight is that of mlp.down_proj of block 2, 0.400.",
        "Over the depth it is largest in block 2: 0.200 in block 0, 0.275 in block 1, 0.300 in block 2.",
        "Distorting: it moves singular values more than chance does. For the size of the update, singular values moved "
        "by 0.200 in the median weight (random update of the same size: 0.100); the 8 leading input directions turned "
        "by 0.300 of 1 (random: 0.200); no weight got intruders, directions that resemble none of the base's "
        "(random: 0).",
        "Concentrated on few directions: stable rank 2.00 in the median weight, where a random update of the same size "
        "has 12.0.",
        "What the median layer says drifts by 0.0200 on general prompts and 0.0400 on target prompts (squared change "
        "over square); on general prompts most at mlp.down_proj of block 1, by 0.0800 [0.0720, 0.0880].",
        "Beyond the interval, drift is larger on target prompts in 5 of 6 layers, larger on general prompts in 1; the "
        "median ratio of general to target is 0.500 (random update: 1.00).",
        "On general prompts, of 6 modules listened to, mlp.down_proj of block 2 was distorted most: Procrustes "
        "residual 0.600 [0.540, 0.660] (unrelated tokens: 1.20), unbiased CKA 0.800 [0.720, 0.880] (unrelated tokens: "
        "0), Gram distance 0.300 [0.270, 0.330] (unrelated tokens: 1.10); least: mlp.down_proj of block 0 (0.100).",
        "On target prompts, of 6 modules listened to, self_attn.q_proj of block 0 was distorted most: Procrustes "
        "residual 0.400 [0.360, 0.440] (unrelated tokens: 1.20), unbiased CKA 0.800 [0.720, 0.880] (unrelated tokens: "
        "0), Gram distance 0.300 [0.270, 0.330] (unrelated tokens: 1.10); by unbiased CKA it is mlp.down_proj of block "
        "1 (0.400).",
        "Not known from geometry: what was forgotten, and why; only scores tell.",
    )


def test_a_rotation_is_called_rotation_like(build) -> None:
    found = line(build(updates={"singular_value_change": 0.002}), "Rotation-like")
    assert found.startswith(
        "Rotation-like: it keeps singular values better than chance does. For the size of the update, singular values "
        "moved by 0.0100 in the median weight (random update of the same size: 0.100);"
    )


def test_what_a_random_update_does_too_is_no_finding(build) -> None:
    assert line(build(updates={"singular_value_change": 0.02}), "Neither").startswith(
        "Neither rotation-like nor more distorting than a random update of its size. For the size"
    )


def test_intruders_beyond_those_of_a_random_update_are_new_directions(build) -> None:
    rotation = {"singular_value_change": 0.002, "intruders/left": 1.0}
    found = line(build(updates=rotation), "Distorting")
    assert found.startswith("Distorting: it brings in new directions. ")
    assert found.endswith("; all 3 weights got intruders, directions that resemble none of the base's (random: 0).")
    everywhere = build(updates=rotation, controls={"intruders/left": 1.0})
    assert line(everywhere, "Rotation-like").endswith("(random: 3).")


def test_of_large_weights_the_diagonal_stands_for_singular_values(build) -> None:
    unknown = {"singular_value_change": "the tuned spectrum holds the leading part only"}
    large = build(updates=unknown, controls={"diagonal_frac": 0.04})
    assert "To first order, and for the size of the update, singular values moved by 0.167" in line(large, "Neither")
    assert verdict_of(large)[-1] == (
        "Not known from geometry: what was forgotten, and why; only scores tell; nor how far singular values moved at "
        "all 3 sites (the tuned spectrum holds the leading part only)."
    )


def test_without_a_random_update_nothing_is_called_rotation_like(build) -> None:
    found = verdict_of(build(controls={}))
    assert any(text.startswith("Rotation-like or distorting: not known without a random update") for text in found)
    assert "The stable rank of the median weight's update is 2.00." in found
    assert "random" not in found[-1]


def test_without_prompts_nothing_is_said_about_data_but_that_it_is_not_known(build) -> None:
    found = verdict_of(build(roles=()))
    assert found[-2] == (
        "Nothing was measured on prompts, so it is not known whether the data use the directions that changed, nor "
        "what happened to activations; --general and --target tell."
    )
    assert not any("drift" in text or "Procrustes" in text for text in found)


def test_one_set_of_prompts_has_no_ratio(build) -> None:
    found = verdict_of(build(roles=("general",)))
    assert any(text.startswith("What the median layer says drifts by 0.0200 on general prompts (") for text in found)
    assert not any("target" in text for text in found)


def test_intervals_that_include_one_are_no_difference(build) -> None:
    assert line(build(updates={"drift_ratio_relative": 1.0}), "In no layer") == (
        "In no layer does drift differ between general and target prompts beyond its interval; the median ratio of "
        "general to target is 1.00 (random update: 1.00)."
    )


def test_a_zero_update_changes_nothing_and_nothing_more_is_said(build) -> None:
    still = {"relative_size_frobenius": 0.0, "stable_rank": "zero update", "singular_value_change": 0.0}
    found = verdict_of(build(updates=still, values={("relative_size_frobenius", ""): 0.0}, controls={}))
    assert found == (
        "The update (lora adapter) covers 1,000 of 600,000 parameters and changes none of them: every weight is that "
        "of the base.",
    )


def test_one_matrix_is_named(build) -> None:
    found = verdict_of(build(blocks=1))
    assert "It changes one matrix only, mlp.down_proj of block 0." in found
    assert any(text.startswith("On general prompts, the output of mlp.down_proj of block 0 changed:") for text in found)


def test_a_diagnosis_without_numbers_says_so(build, everything) -> None:
    found = verdict_of(build(without=everything))
    assert found == (
        "The update (lora adapter) covers 1,000 of 600,000 parameters and it is not known how far it moves them.",
        "Not known from geometry: what was forgotten, and why; only scores tell.",
    )


def test_no_verdict_is_longer_than_ten_lines_or_speaks_of_causes(build, small) -> None:
    crowded = build(
        (Q, DOWN), 9, values={("stable_rank", site(0)): "zero", ("drift_relative/general", site(1)): "none"}
    )
    for diagnosis in (small, crowded):
        found = verdict_of(diagnosis)
        assert len(found) <= 10
        assert not any(word in text for text in found for word in ("because", "caused", "therefore"))
