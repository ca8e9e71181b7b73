"""The example of a loop runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "go_loop.py"


@pytest.mark.slow
def test_the_example_of_a_loop_learns_at_noisy_weights(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loss, tensors = re.search(r"weights (\d\.\d\d);.*\nnoise on (\d+) tensors", done.stdout).groups()  # type: ignore[union-attr]
    assert float(loss) < 2 and int(tensors) == 38
