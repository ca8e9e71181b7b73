"""Certificates that contradict themselves, and what makes one vacuous; their numbers are tested where they are made."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.core.certificate import Certificate

CERTIFICATE: dict[str, Any] = {
    "ability": "logic", "about": "score", "space": "all weights", "sigma": 0.1, "level": 0.99, "method": "betting",
    "directions": 9, "p_lower": 0.9, "keep": 0.5, "radius": 0.128,
}  # fmt: skip


def test_a_certificate_names_its_threshold_and_all_bounds_or_none() -> None:
    with pytest.raises(ValueError, match="about a share names the score to be reached"):
        Certificate(**{**CERTIFICATE, "about": "share"})
    with pytest.raises(ValueError, match="bounds belong to a displacement: give all three or none"):
        Certificate(**CERTIFICATE, strong=0.4)
    with pytest.raises(ValueError, match="greater than 0"):
        Certificate(**{**CERTIFICATE, "sigma": 0.0})


def test_a_certificate_about_a_share_is_weighed_by_the_score_it_reaches() -> None:
    share = Certificate(
        **{**CERTIFICATE, "about": "share", "threshold": 0.3}, displacement=0.1, strong=0.5, weak=0.2, chance=0.25
    )
    assert share.score_floor == pytest.approx(0.15)
    assert share.vacuous
