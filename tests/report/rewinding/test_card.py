"""The section of the model card, and that nothing else of the card is touched."""

from __future__ import annotations

import pytest
import yaml

from holdfast.core.errors import BadData
from holdfast.report.rewinding.card import BEGIN, END, what_it_kept, write_card
from holdfast.report.rewinding.ways import rewound

CARD = "---\nlibrary_name: peft\ntags:\n- lora\n---\n\n# A model\r\n\nWith *this* and that\u2026  \n"


def test_the_section_says_what_it_kept_by_which_rule_and_what_nobody_looked_at(build) -> None:
    text = what_it_kept(rewound(build()))
    assert text.startswith(
        f"{BEGIN}\n\n## What it kept\n\nThis is the point at t = 0.5 of the path `own` from miniature"
    )
    assert "It was chosen by the rule `keep_gain(0.95)` on validation items." in text
    assert "| task | base | this checkpoint | finished |\n|---|---:|---:|---:|" in text
    assert "| sums (learned) | 0.000 | 0.800 | 0.800 |" in text
    assert "| facts (kept) | 1.000 | 0.900 | 0.500 |" in text
    assert "| tales (kept) | -2.750 | -2.850 | -3.250 |" not in text
    assert "| tales (kept) | -1.750 | -1.850 | -2.250 |" in text
    assert "of tales log-likelihoods in nats per token" in text
    assert "40 validation items of what was to be learned and 82 of what was to be kept." in text
    assert "Not looked at: whatever is not in the table" in text
    assert "No test items were asked" in text
    assert text.endswith(END)


def test_test_items_have_columns_of_their_own(view) -> None:
    text = what_it_kept(view)
    assert "| finished (validation) | base (test) | this checkpoint (test) |" in text
    assert "| sums (learned) | 0.000 | 0.800 | 0.800 | 0.000 | 0.700 | 0.700 |" in text
    assert "No test items" not in text


@pytest.mark.parametrize("ending", ["", "\n", "\n\n"])
def test_a_card_gains_the_section_at_its_end_and_stays_as_it_was(view, tmp_path, ending: str) -> None:
    card, before = tmp_path / "README.md", (CARD.rstrip("\n") + ending).encode()
    card.write_bytes(before)
    write_card(view, card)
    after = card.read_bytes()
    assert after.startswith(before)
    assert after[len(before) :].strip().decode() == what_it_kept(view)


def test_a_section_is_replaced_and_what_stands_around_it_stays(view, build, tmp_path) -> None:
    card = tmp_path / "README.md"
    card.write_bytes(CARD.encode())
    write_card(view, card)
    with card.open("ab") as file:
        file.write(b"\n## Mine\r\n")
    written = card.read_bytes()
    write_card(rewound(build(0.25)), card)
    again = card.read_bytes()
    assert again != written
    assert again.startswith(CARD.encode())
    assert again.endswith(END.encode() + b"\n\n## Mine\r\n")
    assert again.count(BEGIN.encode()) == again.count(b"## What it kept") == 1
    write_card(view, card)
    assert card.read_bytes() == written


def test_a_missing_card_is_made_and_invents_nothing(view, tmp_path) -> None:
    write_card(view, tmp_path / "README.md")
    _, front, body = (tmp_path / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front) == {"tags": ["holdfast"]}
    assert body.strip() == what_it_kept(view)


@pytest.mark.parametrize("text", [BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_half_a_section_is_refused_and_left(view, tmp_path, text: str) -> None:
    card = tmp_path / "README.md"
    card.write_text(text)
    with pytest.raises(BadData, match="which belong together once and in this order: take them out by hand"):
        write_card(view, card)
    assert card.read_text() == text


def test_a_card_that_is_not_text_is_refused_and_left(view, tmp_path) -> None:
    card = tmp_path / "README.md"
    card.write_bytes(b"\xff\xfe")
    with pytest.raises(BadData, match="is not text in UTF-8: convert it, or move it away to have a new one"):
        write_card(view, card)
    assert card.read_bytes() == b"\xff\xfe"
