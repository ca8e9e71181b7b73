"""Does TRACE forget less than training everything, than LoRA, than random tensors, and does it learn as much?

    python scripts/sequence_study.py runs/sequence

prints Markdown tables of finished sequences (``results/sequence/recipe.yaml``): what every row learned, kept and cost,
and differences between rows, paired over items, orders and seeds, with 95 % intervals and p-values, Holm's correction
within each table. A row is said to learn as much as another where the interval of its learning accuracy lies above
minus ``--margin`` of the other's gain; only there is less forgetting to be had.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from holdfast.arena.engine import EVIDENCE
from holdfast.core.sequence_evidence import read_sequence_evidence
from holdfast.metrics.continual.formulas import backward_transfer_gem, final_accuracy, learning_accuracy
from holdfast.metrics.significance import bootstrap_p, holm
from holdfast.metrics.tradeoff import BASE
from holdfast.report.sequence.analysis import Analysed, Measured, analysed
from holdfast.report.sequence.columns import ability_column
from holdfast.report.sequence.differences import difference
from holdfast.report.sequence.numbers import Number

LEARNED, KEPT, END = learning_accuracy.name, backward_transfer_gem.name, final_accuracy.name
TRACE: Final = "trace_probe(probe_learning_rate=0.0008)"
VARIANTS: Final = tuple(
    f"trace_probe(probe_learning_rate=0.0008, {option})"
    for option in ("budget='params'", "overlap='exclude'", "strategy='cosine'")
)
RIVALS: Final = (
    *("replay(share=0.01)", "replay(share=0.1)", "ewc", "o_lora(r=8)", "inf_lora(r=8)", "peft:osf", "lota(ratio=0.1)"),
    *("hft", "epi(ratio=0.2)", "cpi_ft(ratio=0.01, probe_learning_rate=0.0008)"),
)
QUESTIONS: Final = {
    "does TRACE forget less than training everything, and than LoRA?": [(TRACE, "full"), (TRACE, "lora(r=8)")],
    "does its choice beat a random one?": [
        (TRACE, f"random_tensors(like='{TRACE}')"),
        (TRACE, "random_tensors(ratio=0.1)"),
    ],
    "what do its variants change?": [(variant, TRACE) for variant in VARIANTS],
    "what do rivals change against training everything?": [(rival, "full") for rival in RIVALS],
    "what do rivals change against LoRA?": [(rival, "lora(r=8)") for rival in ("o_lora(r=8)", "inf_lora(r=8)")],
}


def main() -> None:
    """Print the tables."""
    said = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    said.add_argument("folder", type=Path, help="folder of the sequences")
    said.add_argument("--margin", type=float, default=0.05, help="share of the gain that may be learned less")
    given = said.parse_args()
    found = analysed(read_sequence_evidence(given.folder / EVIDENCE))
    general = [ability_column(unit) for unit in found.ability_units]
    print("\n".join(_rows(found, general)))
    names = {each.name for each in found.rows if each.row.runs}
    for question, pairs in QUESTIONS.items():
        if asked := [pair for pair in pairs if names.issuperset(pair)]:
            print("\n".join(_answers(found, question, asked, general[0], given.margin)))


def _rows(found: Analysed, general: Sequence[str]) -> Iterator[str]:
    rates = {entrant.label: entrant.learning_rate for entrant in found.evidence.entrants}
    params = {entrant.label: entrant.trainable_params for entrant in found.evidence.entrants}
    titles = ("learned", "kept (backward transfer)", "end", *(column.partition(":")[2] for column in general))
    yield f"| row | rate | parameters | {' | '.join(titles)} |"
    yield f"|---|---:|---:|{'---:|' * len(titles)}"
    for each in found.rows:
        rate, count = rates.get(each.name), params.get(each.name)
        cells = [_told(each.numbers[name]) for name in (LEARNED, KEPT, END, *general)]
        spoken = "" if rate is None else f"{rate:g}"
        yield f"| `{each.name}` | {spoken} | {'' if count is None else f'{count:,}'} | {' | '.join(cells)} |"
    yield ""


def _answers(
    found: Analysed, question: str, pairs: Sequence[tuple[str, str]], general: str, margin: float
) -> Iterator[str]:
    compared = [
        (one, other, name, difference(found.of(one), found.of(other), name, found))
        for one, other in pairs
        for name in (LEARNED, KEPT, general)
    ]
    raw = [bootstrap_p(found.of(one).draws[name] - found.of(other).draws[name]) for one, other, name, _ in compared]
    yield f"**{question}**\n"
    yield "| one | other | of | one minus other | p (Holm) | learns as much |"
    yield "|---|---|---|---:|---:|---|"
    for (one, other, name, number), p in zip(compared, holm(raw), strict=True):
        enough = _learns_as_much(number, found.of(other), found, margin) if name == LEARNED else ""
        yield f"| `{one}` | `{other}` | {name} | {_told(number, '+')} | {p:.3f} | {enough} |"
    yield ""


def _learns_as_much(number: Number, other: Measured, found: Analysed, margin: float) -> str:
    reached, begun = other.numbers[LEARNED].value, found.of(BASE).numbers[END].value
    if number.spread is None or reached is None or begun is None:
        return "not known"
    return "yes" if number.spread.low > -margin * (reached - begun) else "not shown"


def _told(number: Number, sign: str = "") -> str:
    if number.value is None:
        return "–"
    if number.spread is None:
        return f"{number.value:{sign}.3f}"
    return f"{number.value:{sign}.3f} [{number.spread.low:{sign}.3f}, {number.spread.high:{sign}.3f}]"


if __name__ == "__main__":
    main()
