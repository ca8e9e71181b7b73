"""When checkpoints are kept."""

from __future__ import annotations


def log_spaced_steps(steps: int, count: int) -> tuple[int, ...]:
    """At most ``count`` steps from 1 to ``steps``, denser at the start where models change fastest, the last included.

    Each step is half of the next, roughly; steps that would coincide are kept once.
    """
    return tuple(sorted({max(1, round(steps / 2**k)) for k in range(count)}))
