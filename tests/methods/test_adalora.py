"""AdaLoRA allots its ranks by itself, in whatever loop it is trained."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from small import bits, same_bits
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.core.errors import HoldfastError
from holdfast.methods.adalora import AdaLora, AdaLoraAttachment
from holdfast.testing.laws import small_model
from holdfast.weights.loading import checkpoint_on


def steps(attachment: AdaLoraAttachment, inputs: Tensor, start: int, end: int, total: int) -> Iterator[int]:
    """Train from one step to another; yields the ranks that are left after each step."""
    optimizer = torch.optim.SGD(attachment.trainable().values(), lr=0.05)
    for step in range(start, end):
        attachment.before_forward(step, total)
        attachment.model(input_ids=inputs, labels=inputs).loss.backward()
        attachment.after_backward(step, total)
        optimizer.step()
        attachment.after_step(step, total)
        optimizer.zero_grad()
        yield ranks(attachment)


def ranks(attachment: AdaLoraAttachment) -> int:
    """Singular values that are not switched off, over all layers."""
    return sum(int((tensor != 0).sum()) for name, tensor in attachment.trainable().items() if "lora_E" in name)


@pytest.fixture
def attachment(model: PreTrainedModel) -> AdaLoraAttachment:
    torch.manual_seed(1)
    return AdaLora(init_r=6, target_r=3).attach(model)


def test_ranks_fall_to_the_target_and_stay_there(attachment: AdaLoraAttachment, inputs: Tensor) -> None:
    seen = list(steps(attachment, inputs, 0, 30, 30))
    assert seen[0] == 14 * 6
    assert all(after <= before for before, after in pairwise(seen[3:]))
    assert seen[20:] == [14 * 3] * 10


def test_the_target_is_two_thirds_where_it_is_not_given(model: PreTrainedModel, inputs: Tensor) -> None:
    attachment = AdaLora(init_r=6).attach(model)
    assert list(steps(attachment, inputs, 0, 20, 20))[-1] == 14 * 4


def test_layers_end_with_different_ranks(attachment: AdaLoraAttachment, inputs: Tensor) -> None:
    list(steps(attachment, inputs, 0, 30, 30))
    found = {int((tensor != 0).sum()) for name, tensor in attachment.trainable().items() if "lora_E" in name}
    assert len(found) > 1


def test_a_run_that_is_cut_in_two_allots_the_same_ranks(inputs: Tensor) -> None:
    def fresh() -> AdaLoraAttachment:
        torch.manual_seed(1)
        return AdaLora(init_r=6, target_r=3).attach(small_model())

    whole = fresh()
    list(steps(whole, inputs, 0, 20, 20))
    for cut in (5, 16):
        first = fresh()
        list(steps(first, inputs, 0, cut, 20))
        state = {name: tensor.clone() for name, tensor in first.state().items()}
        tensors = {name: tensor.detach().clone() for name, tensor in first.trainable().items()}
        second = fresh()
        with torch.no_grad():
            for name, tensor in second.trainable().items():
                tensor.copy_(tensors[name])
        second.restore(state)
        list(steps(second, inputs, cut, 20, 20))
        for name, tensor in whole.trainable().items():
            assert torch.equal(tensor, second.trainable()[name]), (cut, name)


def test_what_is_saved_answers_as_what_was_trained(
    attachment: AdaLoraAttachment, inputs: Tensor, tmp_path: Path
) -> None:
    list(steps(attachment, inputs, 0, 20, 20))
    attachment.model.eval()
    attachment.save(tmp_path)
    with torch.inference_mode():
        wanted = attachment.model(input_ids=inputs).logits
        with checkpoint_on(tmp_path, small_model()) as tuned:
            torch.testing.assert_close(tuned(input_ids=inputs).logits, wanted, rtol=1e-4, atol=2e-5)


def test_saving_in_the_middle_does_not_change_what_is_trained(inputs: Tensor, tmp_path: Path) -> None:
    found = []
    for saves in (False, True):
        torch.manual_seed(1)
        attachment = AdaLora(init_r=6, target_r=3).attach(small_model())
        for step, _ in enumerate(steps(attachment, inputs, 0, 20, 20)):
            if saves and step in {4, 9, 17}:
                attachment.save(tmp_path / str(step))
        found.append(bits(attachment.model))
    assert same_bits(*found)


@pytest.mark.parametrize("count", [2, 4])
def test_too_few_steps_to_allot_in_are_refused(attachment: AdaLoraAttachment, count: int) -> None:
    attachment._method = AdaLora(warmup_frac=0.5, settle_frac=0.5)
    with pytest.raises(HoldfastError) as caught:
        attachment.before_forward(0, count)
    assert str(caught.value) == (
        f"adalora: {count} steps leave none in which ranks could be allotted; "
        "train for more steps, or lower warmup_frac and settle_frac"
    )


def test_the_penalty_is_the_mean_distance_of_the_factors_from_orthogonal(attachment: AdaLoraAttachment) -> None:
    distances = []
    for name, tensor in attachment.trainable().items():
        matrix = tensor.detach().double()
        if "lora_A" in name:
            distances.append(float((matrix @ matrix.T - torch.eye(6, dtype=torch.float64)).norm()))
        if "lora_B" in name:
            distances.append(float((matrix.T @ matrix - torch.eye(6, dtype=torch.float64)).norm()))
    penalty = attachment.penalty()
    assert len(distances) == 28 and penalty is not None
    assert float(penalty.detach()) == pytest.approx(0.5 * sum(distances) / 28, rel=1e-5)


def test_the_penalty_is_counted_once_and_not_in_the_model_s_own_loss_too(
    attachment: AdaLoraAttachment, inputs: Tensor
) -> None:
    attachment.model.eval()
    out = attachment.model(input_ids=inputs, labels=inputs)
    plain = torch.nn.functional.cross_entropy(out.logits[:, :-1].flatten(0, 1), inputs[:, 1:].flatten())
    assert float(out.loss.detach()) == pytest.approx(float(plain.detach()), rel=1e-6)


def test_without_its_weight_there_is_no_penalty(model: PreTrainedModel) -> None:
    assert AdaLora(orthogonality=0.0).attach(model).penalty() is None
