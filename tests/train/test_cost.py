"""Step times of several methods are taken side by side and leave the base alone."""

from __future__ import annotations

import subprocess
import sys

from holdfast.core.recipe import TrainingOptions
from holdfast.core.task import Example
from holdfast.methods.full import Full
from holdfast.methods.lora import Lora
from holdfast.models.base import Base
from holdfast.models.identity import identity_of
from holdfast.train.cost import step_seconds

BALLAST_BYTES = 128 * 2**20


def test_every_method_gets_a_time_and_the_base_is_untouched(miniature: Base, examples: list[Example]) -> None:
    shares: list[float] = []
    options = TrainingOptions(per_device_train_batch_size=2)
    seconds = step_seconds(miniature, {"lora": Lora(r=2), "full": Full()}, examples, options, shares.append)
    assert set(seconds) == {"lora", "full"}
    assert all(value > 0 for value in seconds.values())
    assert shares[-1] == 1.0
    assert identity_of(miniature.model) == miniature.identity


def test_peak_memory_counts_what_this_process_held_and_let_go_again() -> None:
    # In a process of its own: this one may hold so much already that the ballast would not show.
    program = (
        "from holdfast.train.cost import peak_memory_bytes\n"
        "before = peak_memory_bytes()\n"
        f"ballast = b'x' * {BALLAST_BYTES}\n"
        "del ballast\n"
        "print(peak_memory_bytes() - before)\n"
    )
    mine = b"x" * 8 * BALLAST_BYTES  # what the parent holds is not the child's
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    del mine
    assert BALLAST_BYTES // 2 <= int(done.stdout) <= 2 * BALLAST_BYTES
