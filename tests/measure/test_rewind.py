"""A finished checkpoint is rewound where it overshot, and left where it did not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from planted import PlantedPath, PlantedTask

from holdfast.core.errors import BadData, NotMeasurable
from holdfast.core.record import Record
from holdfast.core.rewinding import CHOSEN, FINAL, UNSEEN, Rewinding
from holdfast.measure.rewind import rewind, scored_at
from holdfast.measure.walking import Questions, Search
from holdfast.metrics.operating_point.rules import rule_of
from holdfast.models.base import Base

Curve = Callable[[float], float]


def saturated(t: float) -> float:
    return min(max(5 * (t - 0.3), 0.0), 1.0)


def unsaturated(t: float) -> float:
    return 0.7 * t**2


def forgetful(t: float) -> float:
    return 1 - 0.8 * t**2


def steadfast(t: float) -> float:
    return 1.0


def rewound(base: Base, target: Curve, kept: Curve = forgetful, items: int = 300, rule: str = "") -> Rewinding:
    asking = Questions(base, {"new": PlantedTask("new", target, items)}, {"old": PlantedTask("old", kept, items)})
    search = Search(rule=rule_of(rule or "one_standard_error"))
    return rewind("tuned", "lora adapter", [PlantedPath()], asking, search)


def record(found: Rewinding, subject: str, quantity: str) -> Record:
    return next(each for each in found.records if (each.subject, each.quantity) == (subject, quantity))


def test_a_run_that_overshot_is_rewound_to_where_it_had_learned(planted_base: Base) -> None:
    found = rewound(planted_base, saturated)
    assert found.t == pytest.approx(0.5, abs=0.04)
    assert found.verdict == f"rewind to {found.t:g}"
    assert found.overshoot.startswith("the finished model overshot: at t = ")
    assert found.too_few is None
    assert found.chosen.t == found.t
    final, chosen = 1 - forgetful(1), 1 - forgetful(found.t)
    assert record(found, FINAL, "forgetting").value == pytest.approx(final, abs=0.01)
    assert record(found, CHOSEN, "forgetting").value == pytest.approx(chosen, abs=0.01)
    assert record(found, CHOSEN, "recovered").value == pytest.approx(final - chosen, abs=0.01)
    assert record(found, CHOSEN, "recovered_share").value == pytest.approx(1 - chosen / final, abs=0.02)
    assert record(found, CHOSEN, "gain_kept").value == pytest.approx(saturated(found.t), abs=0.02)
    for quantity in ("gain", "forgetting", "recovered"):
        spread = record(found, CHOSEN, quantity).spread
        assert spread is not None and spread[0] <= record(found, CHOSEN, quantity).value <= spread[1]  # type: ignore[operator]


def test_a_run_that_was_still_learning_is_left_where_it_is(planted_base: Base) -> None:
    found = rewound(planted_base, unsaturated)
    assert found.t == 1
    assert found.verdict == "do not rewind: no overshoot found"
    assert record(found, CHOSEN, "recovered").value == 0


def test_an_update_that_teaches_nothing_is_said_to_be_no_help(planted_base: Base) -> None:
    found = rewound(planted_base, lambda t: 0.2)
    assert (found.t, found.verdict) == (0, "this update does not help")
    reason = record(found, CHOSEN, "gain_kept").reason
    assert reason is not None and "not above 0" in reason


def test_a_run_that_forgot_nothing_did_not_overshoot(planted_base: Base) -> None:
    found = rewound(planted_base, saturated, steadfast)
    assert found.overshoot.startswith("the finished model did not overshoot")
    assert record(found, FINAL, "forgetting").value == 0


def test_too_few_items_are_said_to_be_too_few(planted_base: Base) -> None:
    found = rewound(planted_base, saturated, items=8)
    assert found.too_few is not None and found.too_few.startswith("too few items to decide: with 8 target items")
    assert "at least 20 items" in found.overshoot
    with pytest.raises(NotMeasurable, match="a standard error over items needs at least two"):
        rewound(planted_base, saturated, items=1)


def test_half_of_the_items_choose_for_the_other_half(planted_base: Base) -> None:
    found = rewound(planted_base, saturated)
    assert record(found, UNSEEN, "gain").value == pytest.approx(record(found, CHOSEN, "gain").value, abs=0.05)
    few = record(rewound(planted_base, saturated, items=3), UNSEEN, "gain")
    assert few.value is None and few.reason is not None


def test_the_rule_is_kept_with_the_choice(planted_base: Base) -> None:
    careful = rewound(planted_base, saturated, rule="lose_at_most(0.1)")
    assert careful.rule == "lose_at_most(0.1)"
    assert careful.t < rewound(planted_base, saturated).t
    value = record(careful, CHOSEN, "forgetting").value
    assert value is not None and value <= 0.1


def test_rivals_are_walked_beside_the_path_and_the_base_is_asked_once(planted_base: Base) -> None:
    first, second = PlantedPath("own"), PlantedPath("dense")
    asking = Questions(planted_base, {"new": PlantedTask("new", saturated)}, {"old": PlantedTask("old", forgetful)})
    found = rewind("tuned", "lora adapter", [first, second], asking, refused={"geodesic": "no rotation"})
    assert (found.walk.path, [rival.path for rival in found.rivals]) == ("own", ["dense"])
    assert first.brought.count(0.0) == 1 and second.brought.count(0.0) == 0
    assert found.rivals[0].points[0] == found.walk.points[0]
    assert found.refused == {"geodesic": "no rotation"}


def test_what_was_said_of_the_checkpoint_is_kept(planted_base: Base) -> None:
    asking = Questions(planted_base, {"new": PlantedTask("new", saturated)}, {"old": PlantedTask("old", forgetful)})
    assert rewind("tuned", "", [PlantedPath()], asking, notes=["turns backwards"]).notes == ("turns backwards",)


def test_a_choice_never_looks_at_other_items_than_its_own(planted_base: Base) -> None:
    found = rewound(planted_base, saturated)
    ids = {item for point in found.walk.points for task in point.scores.tasks for item in task.ids}
    assert all("/validation/" in item for item in ids)


def test_other_items_may_be_asked_after_the_choice(planted_base: Base) -> None:
    asking = Questions(planted_base, {"new": PlantedTask("new", saturated)}, {}, split="test")
    found = scored_at(PlantedPath(), [0.0, 0.5, 1.0], asking)
    assert [scores.tasks[0].mean for scores in found.values()] == pytest.approx([0, 1, 1], abs=0.01)
    assert all("/test/" in item for scores in found.values() for item in scores.tasks[0].ids)


def test_what_is_to_be_kept_is_not_also_to_be_learned(planted_base: Base) -> None:
    same = PlantedTask("new", saturated)
    with pytest.raises(BadData) as caught:
        rewind("tuned", "", [PlantedPath()], Questions(planted_base, {"new": same}, {"new": same}))
    assert str(caught.value) == "'new' is both to be learned and to be kept; name it on one side"
    with pytest.raises(BadData) as caught:
        rewind("tuned", "", [PlantedPath()], Questions(planted_base, {"new": same}, {"alias": same}, limit=3))
    assert str(caught.value) == (
        "3 of 3 items to be kept are also to be learned, the first is 'new validation 0'; take them out of one side"
    )
