"""The checkpoints of a training as a path, without inventing what lies between them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small import bits, same_bits
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.core.errors import NotMeasurable
from holdfast.methods.full import Full
from holdfast.methods.lora import Lora
from holdfast.testing.laws import small_model
from holdfast.weights.contracts import Method
from holdfast.weights.path import Walkable
from holdfast.weights.paths.checkpoints import CheckpointPath

STEPS = (1, 4, 10)


@pytest.fixture(params=[Lora(r=4), Full()], ids=["lora", "full"])
def trained(
    request: pytest.FixtureRequest, tmp_path: Path, inputs: Tensor
) -> tuple[dict[int, Path], dict[int, Tensor]]:
    return train(request.param, tmp_path, inputs)


def train(method: Method, tmp_path: Path, inputs: Tensor) -> tuple[dict[int, Path], dict[int, Tensor]]:
    attachment = method.attach(small_model())
    folders, logits = {}, {}
    for step in STEPS:
        with torch.no_grad():
            for tensor in attachment.trainable().values():
                tensor.add_(0.02 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(step)))
        attachment.model.eval()
        folders[step] = tmp_path / f"checkpoint-{step}"
        attachment.save(folders[step])
        with torch.inference_mode():
            logits[step] = attachment.model(input_ids=inputs).logits
    return folders, logits


def test_each_checkpoint_is_a_point(
    trained: tuple[dict[int, Path], dict[int, Tensor]], model: PreTrainedModel, inputs: Tensor
) -> None:
    folders, logits = trained
    path = CheckpointPath(dict(reversed(folders.items())), model)
    assert isinstance(path, Walkable) and path.label == "checkpoints"
    assert path.points == (0.0, 0.1, 0.4, 1.0)
    assert CheckpointPath(folders, model, spacing="order").points == pytest.approx((0.0, 1 / 3, 2 / 3, 1.0))
    before = bits(model)
    with torch.inference_mode():
        plain = model(input_ids=inputs).logits
        with path.walk(model) as bring:
            for t in (1.0, 0.0, 0.4, 0.1, 1.0):
                wanted = logits[round(10 * t)] if t else plain
                torch.testing.assert_close(bring(t)(input_ids=inputs).logits, wanted, rtol=0, atol=1e-6)
        assert same_bits(bits(model), before)
        for t in path.points:
            with path.at(t).added_to(model):
                wanted = logits[round(10 * t)] if t else plain
                torch.testing.assert_close(model(input_ids=inputs).logits, wanted, rtol=0, atol=2e-5)
    assert same_bits(bits(model), before)


def test_biases_that_a_checkpoint_writes_over_come_back(
    made: Callable[..., Any], config: Callable[..., Any], inputs: Tensor, biased: PreTrainedModel
) -> None:
    adapter = made(config("lora", r=4, bias="all", target_modules=["q_proj"]), biased)
    before = bits(biased)
    with CheckpointPath({3: adapter.folder}, biased).walk(biased) as bring, torch.inference_mode():
        assert torch.equal(bring(1)(input_ids=inputs).logits, adapter.logits)
        assert torch.equal(bring(0)(input_ids=inputs).logits, adapter.before)
    assert same_bits(bits(biased), before)


def test_what_lies_between_is_refused(tmp_path: Path, model: PreTrainedModel) -> None:
    path = CheckpointPath({10: tmp_path / "a", 40: tmp_path / "b"}, model)
    for t, where in ((0.3, "0.25 (step 10)"), (0.9, "1 (step 40)"), (0.05, "0 (the base)")):
        with pytest.raises(NotMeasurable) as caught:
            path.at(t)
        assert str(caught.value) == (
            f"no checkpoint was saved at {t:g}, and where the training was then is not known: "
            f"the nearest of 2 is at {where}"
        )
        with pytest.raises(NotMeasurable), path.walk(model) as bring:
            bring(t)
    assert [path.nearest(t) for t in (0.0, 0.12, 0.13, 0.7, 2.0)] == [0.0, 0.0, 0.25, 1.0, 1.0]


@pytest.mark.parametrize("steps", [(), (0, 5)])
def test_a_path_needs_a_checkpoint_after_the_start(
    tmp_path: Path, model: PreTrainedModel, steps: tuple[int, ...]
) -> None:
    with pytest.raises(NotMeasurable, match=r"there must be one at least, each after a first step"):
        CheckpointPath(dict.fromkeys(steps, tmp_path), model)
