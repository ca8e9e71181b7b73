"""What must be minded before what a diagnosis found is believed."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.core.diagnosis import UPDATE, Diagnosis

FEWEST_ROWS = 10
"""Tokens for each dimension of a module, below which similarity is partly that of chance."""


def caveats(diagnosis: Diagnosis) -> tuple[str, ...]:
    """Cautions, the weightiest first."""
    return (*(note[:1].upper() + note[1:] for note in diagnosis.notes), *_few_rows(diagnosis))


def _few_rows(diagnosis: Diagnosis) -> Iterator[str]:
    """Modules that were listened to on too few tokens for their width."""
    for prompts in diagnosis.prompts:
        asked = (UPDATE, f"rows_per_dimension/{prompts.role}")
        found = (record.value for record in diagnosis.records if (record.subject, record.quantity) == asked)
        rows = [each for each in found if each is not None]
        few = sum(each < FEWEST_ROWS for each in rows)
        if few:
            which = f"{few} of {len(rows)} modules were" if len(rows) > 1 else "the only module was"
            yield (
                f"On {prompts.role} prompts {which} listened to on fewer than {FEWEST_ROWS} tokens for each "
                "dimension: similarity is partly that of chance there, as the comparison with unrelated tokens shows; "
                "give more prompts, or look at more tokens of each."
            )
