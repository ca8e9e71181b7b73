"""Does evolving isolation beat static, does static beat plain, and does the choice beat a random one?

    python scripts/isolation_study.py runs/isolation --alone runs/isolation-alone

prints Markdown tables of a finished comparison (``results/isolation/recipe.yaml``): what every entrant gained and
forgot, and differences between entrants, paired over items and seeds, with 95 % intervals and p-values, Holm's
correction within each table.
``--alone`` is a folder of comparisons in which plain fine-tuning learned one target each: what 1 means in the
average normalised score. ``--matched`` is what ``scripts/norm_matched.py`` wrote: plain training, scaled to go as far
as the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from holdfast.arena.engine import EVIDENCE
from holdfast.core.evidence import Entrant, Evidence, read_evidence
from holdfast.metrics.bootstrap import Contrast, Resamples, paired_interval, resample
from holdfast.metrics.significance import bootstrap_p, holm
from holdfast.metrics.tradeoff import FORGETTING, GAIN
from holdfast.report.benchmarks import failure_of, headline_of, main_benchmarks, task_scores

RATIOS = (0.001, 0.01, 0.05, 0.2)
FIFTHS = (
    *(f"{rival}(ratio=0.2)" for rival in ("gmt", "mofo", "lift", "lota", "migu", "ssu")),
    *(f"{rival}(ratio=0.2, probe_learning_rate=0.001)" for rival in ("cpi_ft", "dpi")),
)
PULLS = ("l2_sp", "ewc", "si", "mas", "kl", "replay")
PEFT = ("peft:osf", "peft:shira(r=1)", "peft:shira(r=4)", "peft:shira(r=16)")
QUESTIONS = {
    "does evolving beat static?": [(f"epi(ratio={p})", f"static(ratio={p})") for p in RATIOS],
    "does a faster average beat static?": [(f"epi(ratio={p}, beta=0.9)", f"static(ratio={p})") for p in RATIOS],
    "does static beat plain?": [(f"static(ratio={p})", "full") for p in RATIOS],
    "does evolving beat plain?": [(f"epi(ratio={p})", "full") for p in RATIOS],
    "does the choice beat random?": [(f"epi(ratio={p})", f"random_mask(ratio={p})") for p in RATIOS],
    "does the top beat the bottom?": [(f"epi(ratio={p})", f"bottom_mask(ratio={p})") for p in RATIOS],
    "does holding at random beat plain?": [(f"random_mask(ratio={p})", "full") for p in RATIOS],
    "does training a top share beat training a random one?": [
        (f"{rival}(ratio={p})", f"random_mask(ratio={1 - p:g})")
        for p in RATIOS
        for rival in ("gmt", "mofo", "lift", "lota", "inverse_mask")
    ],
    "what do rivals with a fifth held or trained change?": [(rival, "full") for rival in FIFTHS],
    "does freezing a drawn half of the matrices beat plain?": [("hft", "full")],
    "does a pull back beat plain?": [(pull, "full") for pull in PULLS],
    "does holding a fifth beat a pull back?": [("epi(ratio=0.2)", pull) for pull in PULLS],
    "do peft's own beat plain?": [(tuner, "full") for tuner in PEFT],
    "picked after the table was seen: does GMT at 5 % beat plain and isolation?": [
        ("gmt(ratio=0.05)", "full"),
        ("gmt(ratio=0.05)", "epi(ratio=0.2)"),
    ],
    "does the interval matter, at 1 %?": [
        (f"epi(ratio=0.01, interval={every})", "static(ratio=0.01)") for every in (1, 2, 40)
    ],
    "does the interval matter, at 20 %?": [
        (f"epi(ratio=0.2, interval={every})", "static(ratio=0.2)") for every in (1, 2, 40)
    ],
}


def main() -> None:
    """Print the tables."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", type=Path, help="folder of the comparison")
    asked.add_argument("--alone", type=Path, help="folder of comparisons, one a target learned alone")
    asked.add_argument("--matched", type=Path, help="folder of plain training at the length of the others")
    given = asked.parse_args()
    evidence = read_evidence(given.folder / EVIDENCE)
    matched = read_evidence(given.matched / EVIDENCE).entrants if given.matched else ()
    entrants = (*evidence.entrants, *matched)
    complete = [entrant for entrant in entrants if failure_of(entrant, evidence) is None]
    # A seed is an order of the data, the same for everybody: entrants are paired over seeds as over items.
    paired = {entrant.label: "seeds" for entrant in complete}
    benchmarks = main_benchmarks(evidence, complete, headline_of(evidence))
    drawn = resample(benchmarks, int(evidence.recipe["resamples"]), trainings=paired)
    alone = _alone(given.alone) if given.alone else {}
    print("\n".join(_entrants(evidence, complete, drawn, alone)))
    labels = {entrant.label for entrant in complete}
    far = [(label, f"full as far as {label}") for label in sorted(labels) if _matters(label)]
    for question, pairs in {**QUESTIONS, "is it more than going less far?": far}.items():
        found = [pair for pair in pairs if labels.issuperset(pair)]
        if found:
            print("\n".join(_answers(question, found, drawn)))


def _matters(label: str) -> bool:
    """Whether enough is held or pulled for a difference to be looked for."""
    return "ratio=0.2" in label or "ratio=" not in label


def _alone(folder: Path) -> dict[str, float]:
    """Score of plain fine-tuning on each target that it learned alone, its mean over seeds."""
    found = {}
    for file in sorted(folder.glob(f"*/{EVIDENCE}")):
        evidence = read_evidence(file)
        (task,) = evidence.learn
        (entrant,) = evidence.entrants
        found[task] = fmean(task_scores(run.test, task).mean for run in entrant.runs if run.test is not None)
    return found


def _entrants(
    evidence: Evidence, complete: Sequence[Entrant], drawn: Resamples, alone: dict[str, float]
) -> Iterator[str]:
    yield "| entrant | rate | gain | forgetting | mean score | normalised |"
    yield "|---|---:|---:|---:|---:|---:|"
    base = {task: task_scores(evidence.base_test, task).mean for task in evidence.learn}
    for entrant in complete:
        scores = {
            task: fmean(task_scores(run.test, task).mean for run in entrant.runs if run.test is not None)
            for task in evidence.learn
        }
        spans = []
        for quantity in (GAIN, FORGETTING):
            found = paired_interval(drawn, entrant.label, quantity=quantity)
            spans.append(f"{found.value:.3f} [{found.spread.low:.3f}, {found.spread.high:.3f}]")
        shares = [(scores[task] - base[task]) / (alone[task] - base[task]) for task in evidence.learn if task in alone]
        normalised = f"{fmean(shares):.3f}" if len(shares) == len(base) else "not measured"
        rate = f"{entrant.learning_rate:g}"
        yield f"| `{entrant.label}` | {rate} | {' | '.join(spans)} | {fmean(scores.values()):.3f} | {normalised} |"
    yield ""


def _answers(question: str, pairs: Sequence[tuple[str, str]], drawn: Resamples) -> Iterator[str]:
    contrasts: list[tuple[str, str, str, Contrast]] = []
    raw = []
    for one, other in pairs:
        for quantity in (GAIN, FORGETTING):
            contrasts.append((one, other, quantity, paired_interval(drawn, one, other, quantity)))
            raw.append(bootstrap_p(drawn.draws(one, quantity) - drawn.draws(other, quantity)))
    yield f"**{question}**\n"
    yield "| one | other | of | one minus other | p (Holm) |"
    yield "|---|---|---|---:|---:|"
    for (one, other, quantity, found), p in zip(contrasts, holm(raw), strict=True):
        spread = f"{found.value:+.3f} [{found.spread.low:+.3f}, {found.spread.high:+.3f}]"
        yield f"| `{one}` | `{other}` | {quantity} | {spread} | {p:.3f} |"
    yield ""


if __name__ == "__main__":
    main()
