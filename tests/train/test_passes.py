"""Passes at displaced weights in Holdfast's own training, which resumes and counts as any other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file

from holdfast.methods.on_top import method_named
from holdfast.store.run import RunFolder

Runner = Callable[..., RunFolder]
ON = "on='lora(r=2, dropout=0.1)'"


class Cut(Exception):
    """The moment at which a run is cut off."""


def weights_of(folder: RunFolder, step: int = 4) -> dict[str, torch.Tensor]:
    (file,) = folder.checkpoint(step).glob("*.safetensors")
    return load_file(file)


def same(one: RunFolder, other: RunFolder) -> bool:
    found, expected = weights_of(one), weights_of(other)
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


OPTIONS = {"max_steps": 4, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}


@pytest.mark.parametrize("spec", [f"go(sigma=0.0, {ON})", f"ema(decay=0.0, {ON})"])
def test_at_0_it_is_the_inner_method_bit_for_bit(run: Runner, done: Runner, spec: str) -> None:
    plain = done(method_named("lora(r=2, dropout=0.1)"), **OPTIONS)
    assert same(plain, run(method_named(spec), "widened", **OPTIONS))


def test_tokens_are_counted_once_however_often_they_are_read(run: Runner, done: Runner) -> None:
    plain = done(method_named("lora(r=2, dropout=0.1)"), **OPTIONS)
    sam = run(method_named(f"sam({ON})"), "sam", **OPTIONS)
    assert plain.training()["tokens_seen"] == sam.training()["tokens_seen"] > 0
    assert not same(plain, sam)
    facts = {record.quantity: record.value for record in sam.facts()}
    assert facts["micro_batches_without_slope"] == 0 and facts["start_distance"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["go", "sam", "asam", "ema", "swa"])
def test_a_run_that_was_cut_off_ends_as_one_that_was_not(run: Runner, name: str) -> None:
    def cut(step: int, steps: int, loss: float | None) -> None:
        if step == 3:
            raise Cut

    method = method_named(f"{name}({ON})")
    whole = run(method, "whole", **OPTIONS)
    with pytest.raises(Cut):
        run(method, "cut", cut, **OPTIONS)
    assert same(whole, run(method, "cut", **OPTIONS))
