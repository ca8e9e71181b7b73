"""Tables of finished basins: how wide, how far fine-tunes went, and what both have to do with each other.

    python scripts/basin_study.py runs/basin-miniature runs/basin-miniature-64 ...

prints Markdown for folders of ``holdfast basin``. Fine-tunes whose names differ by ``-seed-N`` alone are one row: means
over seeds with their range. Differences between models are to be read off intervals of widths that do not overlap.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from holdfast.core.basin import BasinCurve, BasinMeasurement, BasinVerdict
from holdfast.core.record import Record

SEED = re.compile(r"-seed-\d+")


def main() -> None:
    """Print the tables."""
    said = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    said.add_argument("folders", type=Path, nargs="+", help="folders of holdfast basin")
    given = said.parse_args()
    found = {folder: read(folder) for folder in given.folders}
    print("## Widths\n")
    print("| base | d | ability | score | random: sigma | length | worst way: sigma | random / worst |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    for folder, basin in found.items():
        for row in widths(basin):
            print(f"| {folder.name} | {basin.coordinates:,} | {' | '.join(row)} |")
    judged = {folder: basin for folder, basin in found.items() if basin.verdicts}
    for folder, basin in judged.items():
        print(f"\n## Fine-tunes in the basins of {folder.name}\n")
        print("| fine-tune | seeds | ability | sigma | place | lost | random, as far | its own way: sigma | certain |")
        print("|---|---:|---|---:|---|---:|---:|---:|---|")
        for row in fine_tunes(basin):
            print(f"| {' | '.join(row)} |")


def read(folder: Path) -> BasinMeasurement:
    """What was measured."""
    return BasinMeasurement.model_validate_json((folder / "basin.json").read_text(encoding="utf-8"))


def widths(basin: BasinMeasurement) -> Iterable[Sequence[str]]:
    """A row an ability that has a width."""
    curves = {(curve.ability, curve.direction): curve for curve in basin.curves}
    for width in basin.widths:
        random, worst = curves[width.ability, "random"], curves.get((width.ability, "worst"))
        ends = [None if end is None else end * basin.coordinates**0.5 for end in (width.low, width.high)]
        length = " to ".join("?" if end is None else f"{end:.3g}" for end in ends)
        cliff = None if worst is None else worst.soft_width.value
        ratio = "" if cliff is None or width.sigma is None else f"{width.sigma / cliff:.0f}"
        yield width.ability, f"{random.base:.3f}", width.ends, length, told(worst), ratio


def told(curve: BasinCurve | None) -> str:
    """The soft width along a single way, or why there is none."""
    if curve is None:
        return ""
    width = curve.soft_width
    return f"{width.value:.2g}" if width.value is not None else str(width.reason).partition(":")[0]


def fine_tunes(basin: BasinMeasurement) -> Iterable[Sequence[str]]:
    """A row for fine-tunes that differ by their seed alone, and ability."""
    groups: dict[tuple[str, str], list[BasinVerdict]] = {}
    for verdict in basin.verdicts:
        groups.setdefault((SEED.sub("", verdict.tuned), verdict.ability), []).append(verdict)
    curves = {(curve.ability, curve.direction): curve for curve in basin.curves}
    for (name, ability), verdicts in groups.items():
        places = Counter(verdict.verdict for verdict in verdicts)
        own = [told(curves.get((ability, f"toward {verdict.tuned}"))) for verdict in verdicts]
        floors = [verdict.certificate.score_floor for verdict in verdicts if verdict.certificate is not None]
        certain = [floor for floor in floors if floor is not None]
        yield (
            short(name),
            str(len(verdicts)),
            ability,
            spread([verdict.sigma for verdict in verdicts], "{:.2g}"),
            ", ".join(f"{place} {count}" for place, count in places.items()),
            spread(values(verdict.drop for verdict in verdicts)),
            spread(values(verdict.matched for verdict in verdicts)),
            "; ".join(dict.fromkeys(own)),
            spread(certain),
        )


def short(name: str) -> str:
    """The folder of a run, without what leads to its checkpoint."""
    return next(part for part in reversed(Path(name).parts) if not part.startswith(("step-", "checkpoints")))


def values(records: Iterable[Record | None]) -> list[float]:
    """The numbers of records that have one."""
    return [record.value for record in records if record is not None and record.value is not None]


def spread(numbers: Sequence[float], form: str = "{:.3f}") -> str:
    """Mean, and the range where there are several."""
    if not numbers:
        return ""
    mean = form.format(fmean(numbers))
    return mean if len(numbers) == 1 else f"{mean} ({form.format(min(numbers))} to {form.format(max(numbers))})"


if __name__ == "__main__":
    main()
