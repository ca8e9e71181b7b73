"""Step times of several methods are taken side by side and leave the base alone."""

from __future__ import annotations

from holdfast.core.recipe import TrainingOptions
from holdfast.core.task import Example
from holdfast.methods.full import Full
from holdfast.methods.lora import Lora
from holdfast.models.base import Base
from holdfast.models.identity import identity_of
from holdfast.train.cost import peak_memory_bytes, step_seconds


def test_every_method_gets_a_time_and_the_base_is_untouched(miniature: Base, examples: list[Example]) -> None:
    shares: list[float] = []
    options = TrainingOptions(per_device_train_batch_size=2)
    seconds = step_seconds(miniature, {"lora": Lora(r=2), "full": Full()}, examples, options, shares.append)
    assert set(seconds) == {"lora", "full"}
    assert all(value > 0 for value in seconds.values())
    assert shares[-1] == 1.0
    assert identity_of(miniature.model) == miniature.identity


def test_peak_memory_never_falls() -> None:
    before = peak_memory_bytes()
    ballast = bytearray(64 * 2**20)
    assert peak_memory_bytes() >= before + len(ballast) // 2
