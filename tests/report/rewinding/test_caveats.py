"""What must be minded."""

from __future__ import annotations

from holdfast.core.rewinding import Skipped
from holdfast.report.rewinding.caveats import caveats
from holdfast.report.rewinding.ways import rewound


def test_what_must_be_minded_is_told(view) -> None:
    assert caveats(view) == (
        "Too few items to decide: give more.",
        "The intervals of the chosen point are those of that point: they do not count that the same items chose it "
        "among others. Items that did not choose are the honest estimate.",
        "Not part of the mean forgetting, since losses and accuracies have no common mean: tales.",
        "Points of the path “training trajectory” that lie farther from the base than its end, and take no part in a "
        "choice: t = 0.6.",
    )


def test_a_choice_on_test_items_is_told(build) -> None:
    assert caveats(rewound(build(split="test")))[0] == (
        "The point was chosen on test items: what is said of them says little of items that nobody looked at."
    )


def test_a_rule_that_keeps_what_overshot_is_told(build) -> None:
    overshoot = "the finished model overshot: at t = 0.5 the target score is within 0.05 of the final one"
    (line,) = caveats(rewound(build(1.0, overshoot=overshoot, text=None)))
    assert line == (
        "keep_gain(0.95) keeps the finished checkpoint, though a point before it is as good within the margin of the "
        "statement on overshoot: another rule may rewind."
    )


def test_what_was_said_of_the_checkpoint_is_told(build) -> None:
    noted = build(1.0, text=None).model_copy(update={"notes": ("it turns backwards", "it is level at 0.8")})
    assert caveats(rewound(noted)) == ("It turns backwards.", "It is level at 0.8.")


def test_nothing_to_mind_is_nothing_said(build) -> None:
    assert caveats(rewound(build(1.0, text=None))) == ()


def test_answers_that_were_not_asked_for_are_told_with_the_bound_of_their_audit(build) -> None:
    found = build(1.0, text=None)
    skipped = {
        "facts": Skipped(decided=1200, skipped=1150, audited=50, wrong=1, error_frac=0.091),
        "order": Skipped(decided=100, skipped=84, audited=16, wrong=0, error_frac=0.171),
    }
    (line,) = caveats(rewound(found.model_copy(update={"walk": found.walk.model_copy(update={"skipped": skipped})})))
    assert line == (
        "On the path “own” 1,234 answers were not asked for, since the points on both sides agreed on them. Of 66 such "
        "answers that were asked all the same 1 turned out otherwise; of those taken for decided at most 17.1% are "
        "wrong on any task (the most on order)."
    )


def test_an_audit_of_nothing_skipped_is_nothing_said(build) -> None:
    found = build(1.0, text=None)
    skipped = {"facts": Skipped(decided=3, skipped=0, audited=3, wrong=0, error_frac=0.632)}
    assert caveats(rewound(found.model_copy(update={"walk": found.walk.model_copy(update={"skipped": skipped})}))) == ()
