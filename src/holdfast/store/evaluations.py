"""Scores of a model under noise, kept as they are made, so that a measurement that was killed goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from holdfast.core.errors import DamagedCheckpoint
from holdfast.store.files import no_space_named


class ScoreLog:
    """Scores by distance, direction and item; a line of the file for every asking.

    What a kill leaves of a line that was being written is cut off. One process writes at a time.

    Args:
        file: Where they are kept; only in memory without one.

    Raises:
        DamagedCheckpoint: If a line that was written to its end holds something else.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._scores: dict[tuple[float, int], dict[int, float]] = {}
        if file is not None and file.exists():
            self._read(file)

    def known(self, sigma: float, seed: int) -> Mapping[int, float]:
        """Item -> score, of those that were asked there."""
        return self._scores.get((sigma, seed), {})

    def note(self, sigma: float, seed: int, items: Sequence[int], scores: Sequence[float]) -> None:
        """Keep what was found.

        Raises:
            NoSpace: If the disk is full.
        """
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with no_space_named(self._file), self._file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps([sigma, seed, list(items), list(scores)]) + "\n")
        self._keep(sigma, seed, items, scores)

    def _keep(self, sigma: float, seed: int, items: Sequence[int], scores: Sequence[float]) -> None:
        self._scores.setdefault((sigma, seed), {}).update(zip(items, scores, strict=True))

    def _read(self, file: Path) -> None:
        whole = file.read_bytes()
        ended = whole[: whole.rfind(b"\n") + 1]
        if len(ended) < len(whole):
            with file.open("r+b") as cut:
                cut.truncate(len(ended))
        for number, line in enumerate(ended.splitlines(), start=1):
            try:
                sigma, seed, items, scores = json.loads(line)
                self._keep(float(sigma), int(seed), items, scores)
            except (ValueError, TypeError) as error:
                raise DamagedCheckpoint(
                    f"{file}, line {number}: not scores of a basin ({error}); remove the file to ask again"
                ) from error
