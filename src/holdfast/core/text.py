"""Texts compared by what they say and not by how they are set."""

from __future__ import annotations

import unicodedata


def fingerprint(text: str) -> str:
    """The letters and digits of a text, case folded: equal for texts that differ in spaces, quotes or dashes alone."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if character.isalnum())
