"""Run all benchmarks and print their tables; ``python -m benchmarks scoring rewinding`` runs those named."""

from __future__ import annotations

import sys

from benchmarks import (
    basin_radius,
    geometry,
    isolation_refresh,
    isolation_step,
    noise_sweep,
    rewinding,
    scoring,
    trace_memory,
    training_step,
)
from benchmarks.harness import conditions

ALL = {
    "training_step": training_step.run,
    "scoring": scoring.run,
    "geometry": geometry.run,
    "rewinding": rewinding.run,
    "isolation_step": isolation_step.run,
    "isolation_refresh": isolation_refresh.run,
    "noise_sweep": noise_sweep.run,
    "trace_memory": trace_memory.run,
    "basin_radius": basin_radius.run,
}


def main() -> None:
    """Print the tables of the benchmarks named, or of all."""
    print(conditions() + "\n")
    for name in sys.argv[1:] or ALL:
        print(ALL[name](), flush=True)


if __name__ == "__main__":
    main()
