"""Isolation in trainers that know nothing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from holdfast.core.errors import DamagedCheckpoint, NotMeasurable
from holdfast.core.isolation import IsolationCourse
from holdfast.methods.epi import Epi
from holdfast.methods.lora import Lora
from holdfast.testing.laws import small_model
from holdfast.train.isolating import IsolationCallback, isolating
from holdfast.weights.quiet import quiet

METHOD = Epi(ratio=0.05, first_refresh=2, interval=2)


def rows() -> Dataset:
    tokens = torch.randint(3, 128, (48, 12), generator=torch.Generator().manual_seed(0))
    return Dataset.from_dict({"input_ids": tokens.tolist(), "labels": tokens.tolist()})


class Watch(TrainerCallback):
    """Sees the weights after every step."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []
        self.masks: list[Any] = []
        self.isolation: IsolationCallback | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.weights.append({n: t.detach().clone() for n, t in kwargs["model"].named_parameters()})
        if self.isolation is not None:
            self.masks.append(self.isolation.isolation.mask())


def train(
    folder: Path,
    method: Epi | None = METHOD,
    model: PreTrainedModel | None = None,
    resume: str | None = None,
    **options: Any,
) -> tuple[Any, IsolationCallback | None, Watch]:
    given = {
        "max_steps": 8,
        "per_device_train_batch_size": 2,
        "learning_rate": 1e-2,
        "weight_decay": 0.1,
        "optim": "adamw_torch_fused",
        "save_steps": 4,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 1,
    }
    watch = Watch()
    callback = None if method is None else isolating(method)
    watch.isolation = callback
    model = model or small_model()
    with quiet():
        trainer = Trainer(
            model,
            TrainingArguments(str(folder), **{**given, **options}),
            train_dataset=rows(),
            callbacks=[watch, *([] if callback is None else [callback])],
        )
        trainer.train(resume_from_checkpoint=resume)
    return model, callback, watch


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gradient_accumulation_steps": 3},
        {"max_grad_norm": 0.05},
        {"bf16": True},
        {"activation_checkpointing": True},
        {"optim": "adamw_torch"},
        {"optim": "sgd"},
        {"optim": "adafactor"},
    ],
    ids=str,
)
def test_what_is_held_keeps_its_bits_in_a_plain_trainer(tmp_path: Path, options: dict[str, Any]) -> None:
    _, _, watch = train(tmp_path, **options)
    held = 0
    for step in range(len(watch.masks) - 1):
        for name, bits in watch.masks[step].items():
            chosen = bits.dense()
            held += int(chosen.sum())
            assert torch.equal(watch.weights[step][name][chosen], watch.weights[step + 1][name][chosen])
    assert held > 1000


def test_nothing_held_is_plain_training_bit_for_bit(tmp_path: Path) -> None:
    options = {"gradient_accumulation_steps": 2, "max_grad_norm": 0.5}
    plain, _, _ = train(tmp_path / "plain", None, **options)
    watched, _, _ = train(tmp_path / "watched", Epi(ratio=0.0, first_refresh=2, interval=2), **options)
    for one, other in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)


def test_importance_is_that_of_whole_unclipped_batches(tmp_path: Path) -> None:
    """Clipped or not, and as a plain loop has it that sums the same micro-batches and squares once."""
    shared = {"max_steps": 1, "gradient_accumulation_steps": 3, "save_steps": 1}
    method = Epi(ratio=0.05, first_refresh=2, interval=2)
    train(tmp_path / "clipped", method, max_grad_norm=1e-3, **shared)
    train(tmp_path / "free", method, max_grad_norm=1e6, **shared)
    states = [load_file(tmp_path / name / "checkpoint-1" / "isolation.safetensors") for name in ("clipped", "free")]
    averages = [key for key in states[0] if ".average." in key]
    assert len(averages) == 14
    for key in averages:
        assert torch.equal(states[0][key], states[1][key])
    total = sum(float(states[0][key].sum()) for key in averages)
    assert total > 0.01 * 1e-3**2  # more than clipped gradients could have summed up to
    model, seen = small_model(), []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].clone()), with_kwargs=True)
    train(tmp_path / "seen", None, model, **shared)
    twin = small_model().train()
    for tokens in seen:
        (twin(input_ids=tokens, labels=tokens).loss / len(seen)).backward()
    assert len(seen) == 3
    for name, tensor in twin.named_parameters():
        if f"rule.average.{name}" in states[0]:
            found = states[0][f"rule.average.{name}"] / states[0][f"rule.scale.{name}"].float()
            torch.testing.assert_close(found, 0.01 * tensor.grad**2, rtol=1e-3, atol=1e-9)


def test_a_resumed_training_ends_as_one_that_was_not_cut_off(tmp_path: Path) -> None:
    whole, _, watch = train(tmp_path / "whole")
    again, _, later = train(tmp_path / "whole", resume=str(tmp_path / "whole" / "checkpoint-4"))
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    assert watch.masks[-1] == later.masks[-1]
    assert len(later.masks) == 4


def test_resuming_without_a_state_says_what_to_do(tmp_path: Path) -> None:
    train(tmp_path, None)
    with pytest.raises(DamagedCheckpoint, match=r"there is no isolation\.safetensors: was it saved without isolation"):
        train(tmp_path, resume=str(tmp_path / "checkpoint-4"))


def test_how_the_choice_went_lies_in_the_output_folder(tmp_path: Path) -> None:
    train(tmp_path)
    course = IsolationCourse.model_validate_json((tmp_path / "isolation.json").read_text())
    assert [refresh.step for refresh in course.refreshes] == [2, 4, 6, 8]
    assert course.method == METHOD.spec()
    assert course.notes == ()


def test_adapters_are_held_too_and_it_is_said(tmp_path: Path) -> None:
    attached = Lora(r=4).attach(small_model())
    _, callback, watch = train(tmp_path, Epi(ratio=0.1, first_refresh=2, interval=3), attached.model)
    assert callback is not None
    assert set(watch.masks[-1]) == set(attached.trainable())
    assert watch.masks[-1].count() == int(0.1 * sum(t.numel() for t in attached.trainable().values()))
    course = IsolationCourse.model_validate_json((tmp_path / "isolation.json").read_text())
    assert course.notes == ("scalars of an adapter are held: not what the papers test",)


def test_before_training_there_is_nothing_to_ask() -> None:
    with pytest.raises(NotMeasurable, match=r"epi\(ratio=0.05\) holds nothing yet: its training has not begun"):
        _ = isolating(Epi(ratio=0.05)).isolation
