"""Rules are read as users write them, and what is no rule is refused with an example."""

from __future__ import annotations

import pytest

from holdfast.core.errors import RecipeError, UnknownName
from holdfast.metrics.operating_point.rules import (
    RULES,
    KeepGain,
    KlBudget,
    LoseAtMost,
    OneStandardError,
    Rule,
    Weighted,
    rule_of,
)


@pytest.mark.parametrize("rule", [rule() for rule in RULES.values()], ids=lambda rule: rule.spec)
def test_a_spec_is_read_back(rule: Rule) -> None:
    assert rule_of(rule.spec) == rule


@pytest.mark.parametrize(
    ("text", "rule", "spec"),
    [
        ("one_standard_error", OneStandardError(), "one_standard_error"),
        ("one_standard_error()", OneStandardError(), "one_standard_error"),
        (" keep_gain(0.9) ", KeepGain(0.9), "keep_gain(0.9)"),
        ("keep_gain", KeepGain(0.95), "keep_gain(0.95)"),
        ("keep_gain(share=.9, least='forgetting')", KeepGain(0.9, "forgetting"), "keep_gain(0.9, least='forgetting')"),
        ("lose_at_most(0.02, sure=True)", LoseAtMost(0.02, sure=True), "lose_at_most(0.02, sure=True)"),
        ("lose_at_most( 1e-2,safer=True)", LoseAtMost(0.01, safer=True), "lose_at_most(0.01, safer=True)"),
        ("weighted(1)", Weighted(1), "weighted(1)"),
        ("kl_budget(0.1)", KlBudget(0.1), "kl_budget(0.1)"),
    ],
)
def test_rules_are_read_as_users_write_them(text: str, rule: Rule, spec: str) -> None:
    assert rule_of(text) == rule
    assert rule_of(text).spec == spec


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("keep_gain(1.5)", "share=1.5 is not within 0 and 1; write for example keep_gain(0.95)"),
        ("keep_gain(0)", "share=0 is not within 0 and 1; write for example keep_gain(0.95)"),
        ("keep_gain(share=True)", "share=True is not within 0 and 1; write for example keep_gain(0.95)"),
        ("keep_gain(least='kl')", "least='kl' is neither 'step' nor 'forgetting'; write for example keep_gain(0.95)"),
        ("lose_at_most(-1)", "amount=-1 is below 0; write for example lose_at_most(0.02)"),
        ("weighted(-0.5)", "factor=-0.5 is below 0; write for example weighted(1)"),
        ("kl_budget(-.1)", "kappa_nats=-0.1 is below 0; write for example kl_budget(0.1)"),
        ("weighted(1, safer='no')", "safer='no' is neither True nor False"),
        ("lose_at_most(1, sure=0)", "sure=0 is neither True nor False"),
        ("weighted(lam=2)", "weighted has no option 'lam'; its options are factor, safer"),
        ("one_standard_error(sure=True)", "one_standard_error has no option 'sure'; it has no options"),
        ("weighted(1, 2)", "the options of 'weighted(factor=1, 2)' cannot be read: positional argument"),
    ],
)
def test_what_is_no_rule_is_refused(text: str, why: str) -> None:
    with pytest.raises(RecipeError) as caught:
        rule_of(text)
    assert why in caught.value.faults[0]


def test_the_best_on_test_items_is_no_rule() -> None:
    with pytest.raises(UnknownName, match="unknown rule of choice 'oracle'"):
        rule_of("oracle")
    assert next(iter(RULES)) == "one_standard_error"
