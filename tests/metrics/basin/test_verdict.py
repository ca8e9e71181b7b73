"""Where a fine-tune lies beside a basin, and the sentence that says so."""

from __future__ import annotations

import pytest

from holdfast.core.basin import BasinWidth
from holdfast.metrics.basin.certifying import Noise, certify_score
from holdfast.metrics.basin.verdict import judge, place

WIDTH = BasinWidth(ability="logic", question="", test="", level=0.95, low=0.1, high=0.15, steps=(), scored_items=0)


@pytest.mark.parametrize(
    ("sigma", "verdict"), [(0.05, "inside"), (0.1, "inside"), (0.12, "undecided"), (0.15, "outside"), (9, "outside")]
)
def test_a_distance_lies_inside_outside_or_between(sigma: float, verdict: str) -> None:
    assert place(sigma, WIDTH) == verdict


def test_an_end_that_was_not_found_decides_nothing() -> None:
    open_ = BasinWidth.model_validate({**WIDTH.model_dump(), "low": None, "reason": "none was found inside"})
    assert place(0.01, open_) == "undecided"
    assert place(0.2, open_) == "outside"


def test_a_fine_tune_is_told_with_what_it_lost_and_what_a_random_move_lost() -> None:
    found = judge(WIDTH, "medic", 2.0, 400, [1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 0])
    assert (found.sigma, found.verdict, found.drop.value) == (0.1, "inside", 0.5)
    assert found.matched is not None
    assert found.matched.value == 0
    assert found.sentence == (
        "Sigma 0.1, no further from the base than random moves that keep the ability (width 0.1 to 0.15). Measured, it "
        "lost 0.500 (0.000 to 1.000), a random move as far 0.000 (0.000 to 0.000)."
    )


def test_a_certificate_is_told_with_its_own_line() -> None:
    certificate = certify_score(Noise(0.003), [1.0] * 100, sigmas=40.0)
    found = judge(WIDTH, "medic", 9.0, 400, [1, 1], [1, 0], certificate=certificate)
    assert found.sentence.endswith(f"Certain beforehand: {certificate.line}")
    assert "further from the base than random moves that keep" in found.sentence


def test_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="the same items for both, at least one: found 2 and 1"):
        judge(WIDTH, "medic", 1.0, 4, [1, 1], [1])
    with pytest.raises(ValueError, match="found 0 and 0"):
        judge(WIDTH, "medic", 1.0, 4, [], [])
