"""A plan in a Hugging Face trainer: frozen before the optimizer is built, watched over to the end."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chosen import QUICK, names, stage, stream, tensors_of, tiny, trace
from datasets import Dataset
from transformers import Trainer, TrainingArguments
from trl import SFTConfig, SFTTrainer

from holdfast.core.errors import HoldfastError, IncompatibleUpdate
from holdfast.core.parameter_plan import ParameterPlan, read_plan
from holdfast.methods.lora import Lora
from holdfast.methods.trace_probe import trace_probe_plan
from holdfast.models.base import Base
from holdfast.tasks.diagnosis import Diagnosis
from holdfast.train.planned import PlanCallback, probing
from holdfast.weights.material import Material
from holdfast.weights.quiet import quiet

ROWS = [{key: value[row].tolist() for key, value in batch.items()} for batch in stream(0, 4) for row in range(2)]


def trainer(folder: Path, model: Any, *callbacks: Any, **options: Any) -> Trainer:
    args = TrainingArguments(
        str(folder), max_steps=3, per_device_train_batch_size=2, learning_rate=1e-2, weight_decay=0.1, use_cpu=True,
        report_to="none", disable_tqdm=True, save_strategy="no", **options.pop("args", {}),
    )  # fmt: skip
    with quiet():
        return Trainer(model, args, train_dataset=Dataset.from_list(ROWS), callbacks=list(callbacks), **options)


def planned(model: Any) -> ParameterPlan:
    return trace_probe_plan(model, stream(0), ratio=0.2, **QUICK)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_optimizer_holds_the_core_alone_and_nothing_else_moves(tmp_path: Path, checkpointing: bool) -> None:
    model = tiny()
    plan, before = planned(model), tensors_of(model)
    held = trainer(tmp_path, model, PlanCallback(plan), args={"activation_checkpointing": checkpointing})
    held.train()
    core = set(names(plan))
    in_optimizer = {id(t) for group in held.optimizer.param_groups for t in group["params"]}
    assert {name for name, tensor in model.named_parameters() if id(tensor) in in_optimizer} == core
    assert {name for name, tensor in model.named_parameters() if not torch.equal(tensor, before[name])} == core
    assert all(tensor.requires_grad for tensor in model.parameters())
    assert read_plan(tmp_path / "plan.json") == plan


def test_two_lines_probe_on_the_trainers_own_batches_and_train_one_stage(tmp_path: Path) -> None:
    model = tiny()
    before = tensors_of(model)
    held = trainer(tmp_path, model)

    def draw(*seen: Any) -> None:
        random.random(), np.random.rand(), torch.rand(1)

    hook = model.register_forward_pre_hook(draw)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    plan = probing(held, task="mine", ratio=0.2, **QUICK)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]
    hook.remove()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.named_parameters())
    held.train()
    assert {n for n, t in model.named_parameters() if not torch.equal(t, before[n])} == set(names(plan))
    assert plan.task == "mine" and plan.settings["probe_steps"] == 2


def test_with_damp_shared_tensors_move_more_slowly(tmp_path: Path) -> None:
    model = tiny()
    left, _ = stage(trace(ratio=0.2), model, 0)
    attachment = trace(ratio=1.0, overlap="damp", damp=0.0).attach(model)
    attachment.follow([left])
    attachment.prepare(Material({"task-1": stream(1)}))
    plan = attachment.plan()
    attachment.detach()
    before = tensors_of(model)
    trainer(tmp_path, model, PlanCallback(plan)).train()
    owned = {tensor.name for tensor in plan.tensors if tensor.owners}
    assert (
        owned and {n for n, t in model.named_parameters() if not torch.equal(t, before[n])} == set(names(plan)) - owned
    )


def test_damp_counts_once_for_each_owner(tmp_path: Path) -> None:
    model = tiny()
    plan = planned(model)
    owned, free = plan.chosen
    tensors = [t.model_copy(update={"owners": ("a", "b")}) if t.name == owned.name else t for t in plan.tensors]
    settings = {**plan.settings, "overlap": "damp", "damp": 0.5}
    callback = PlanCallback(plan.model_copy(update={"tensors": tuple(tensors), "settings": settings}))
    callback.freeze(model)
    core, before = [model.get_parameter(tensor.name) for tensor in (owned, free)], tensors_of(model)
    told: Any = (TrainingArguments(str(tmp_path), use_cpu=True), None, None)
    callback.on_train_begin(*told, optimizer=torch.optim.AdamW(core))
    callback.on_pre_optimizer_step(*told)
    for tensor in core:
        tensor.data += 1
    callback.on_optimizer_step(*told)
    assert torch.allclose(core[0], before[owned.name] + 0.25)
    assert torch.equal(core[1], before[free.name] + 1)


def test_an_optimizer_that_was_handed_over_and_holds_frozen_tensors_is_refused(tmp_path: Path) -> None:
    model = tiny()
    plan = planned(model)
    early = torch.optim.AdamW(model.parameters())
    with pytest.raises(HoldfastError, match=r"the optimizer holds 19 frozen tensors"):
        trainer(tmp_path, model, PlanCallback(plan), optimizers=(early, None))
    core = [tensor for name, tensor in model.named_parameters() if name in names(plan)]
    trainer(tmp_path, model, PlanCallback(plan), optimizers=(torch.optim.AdamW(core), None)).train()


def test_a_callback_that_comes_too_late_is_told(tmp_path: Path) -> None:
    model = tiny()
    plan = planned(model)
    late = trainer(tmp_path, model)
    late.add_callback(PlanCallback(plan))
    with pytest.raises(HoldfastError, match=r"the plan came to the trainer after it was made"):
        late.train()
    with pytest.raises(HoldfastError, match=r"the trainer has its optimizer already"):
        probing(late)


def test_weights_that_were_not_rewound_are_refused(tmp_path: Path) -> None:
    model = tiny()
    plan = planned(model)
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    with pytest.raises(IncompatibleUpdate, match=r"the weights are not those that the plan of task 'task'"):
        trainer(tmp_path, model, PlanCallback(plan))
    trainer(tmp_path, model, PlanCallback(plan, check_start=False))


def test_a_frozen_tensor_that_moves_during_training_is_found_out(tmp_path: Path) -> None:
    model = tiny()
    held = trainer(tmp_path, model, PlanCallback(planned(model)))

    def meddle(*seen: Any) -> None:
        model.lm_head.weight.data.add_(1e-3)

    model.register_forward_hook(meddle)
    with pytest.raises(HoldfastError, match=r"1 of 19 frozen tensors have moved, such as 'lm_head\.weight'"):
        held.train()


def test_a_resumed_training_ends_as_one_that_was_never_stopped(tmp_path: Path) -> None:
    ends = []
    for stop in (None, 2):
        model, folder = tiny(), tmp_path / str(stop)
        options = {"save_steps": 2} if stop else {}
        args = TrainingArguments(
            str(folder), max_steps=4, per_device_train_batch_size=2, learning_rate=1e-2, use_cpu=True,
            report_to="none", disable_tqdm=True, save_strategy="steps" if stop else "no", **options,
        )  # fmt: skip
        plan = planned(model)
        with quiet():
            Trainer(model, args, train_dataset=Dataset.from_list(ROWS), callbacks=[PlanCallback(plan)]).train()
            if stop:
                model = tiny()
                again = Trainer(model, args, train_dataset=Dataset.from_list(ROWS), callbacks=[PlanCallback(plan)])
                again.train(resume_from_checkpoint=str(folder / "checkpoint-2"))
        ends.append(tensors_of(model))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_probe_on_an_adapter_is_refused(tmp_path: Path) -> None:
    adapted = Lora(r=2).attach(tiny()).model
    with pytest.raises(
        HoldfastError, match=r"a probe chooses tensors of a full model, and this trainer has an adapter"
    ):
        probing(trainer(tmp_path, adapted))


def test_in_trl_the_probe_sees_what_training_sees_answers_and_their_end(tmp_path: Path, miniature: Base) -> None:
    model = copy.deepcopy(miniature.model)
    rows = [{"prompt": e.prompt, "completion": e.answer} for e in Diagnosis().examples("train", 8)]
    args = SFTConfig(
        str(tmp_path), max_steps=2, per_device_train_batch_size=4, use_cpu=True, bf16=False, report_to="none",
        disable_tqdm=True, save_strategy="no", learning_rate=1e-3, activation_checkpointing=False,
    )  # fmt: skip
    with quiet():
        held = SFTTrainer(model, args, train_dataset=Dataset.from_list(rows), processing_class=miniature.tokenizer)
    seen: dict[str, list[tuple[int, ...]]] = {"probe": [], "training": []}
    phase = "probe"

    def look(module: Any, given: Any, named: dict[str, torch.Tensor]) -> None:
        for tokens, labels in zip(named["input_ids"], named["labels"], strict=True):
            learned = tokens[labels != -100].tolist()
            seen[phase].append(tuple(learned))

    model.register_forward_pre_hook(look, with_kwargs=True)
    plan = probing(held, ratio=0.1, probe_learning_rate=1e-3)
    phase = "training"
    with quiet():
        held.train()
    assert set(seen["probe"]) == set(seen["training"])
    for learned in seen["training"]:
        assert learned[-1] == miniature.tokenizer.eos_token_id
        text = miniature.tokenizer.decode(learned[:-1])
        assert any(row["completion"].strip() == text.strip() for row in rows)  # from its first token on
    assert {n for n, t in model.named_parameters() if not torch.equal(t, miniature.model.get_parameter(n))} == set(
        names(plan)
    )
