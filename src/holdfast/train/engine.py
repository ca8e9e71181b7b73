"""One training run, from a base and a method to a folder of checkpoints."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
from datasets import Dataset
from transformers import PrinterCallback, set_seed
from trl import SFTConfig

from holdfast.core.errors import BadData, HoldfastError
from holdfast.core.recipe import TrainRecipe
from holdfast.core.record import Record
from holdfast.core.task import Example
from holdfast.models.base import Base
from holdfast.store.files import write_tensors
from holdfast.store.run import RunFolder
from holdfast.train.checkpoints import CheckpointCallback, Tick
from holdfast.train.data import SOURCE, TASK, training_rows
from holdfast.train.facts import attached_facts, saved_facts, trained_facts
from holdfast.train.hooks import AttachmentCallback
from holdfast.train.looking import Make, look
from holdfast.train.passes import take_passes
from holdfast.train.trainer import COMPLETE, CompletionTrainer
from holdfast.weights.adapter import count, is_adapter
from holdfast.weights.contracts import Attachment, Displacing, Following, Isolated, Method, Mixing, Planned, Staged
from holdfast.weights.logits import fixed_inputs, logits_on
from holdfast.weights.past import PastStage
from holdfast.weights.quiet import quiet

RESUME_EVERY_FRAC = 0.25
"""Share of the steps after which a state to resume from is written."""


def train(
    base: Base,
    method: Method,
    examples: Sequence[Example],
    recipe: TrainRecipe,
    folder: RunFolder,
    tick: Tick = lambda step, steps, loss: None,
    *,
    tasks: Sequence[str] = (),
    source: Sequence[Example] = (),
    past: Sequence[PastStage] | None = None,
) -> None:
    """Train a method on a base and leave checkpoints, facts and the mark of a finished training in a folder.

    A training that was cut off goes on from its last complete state and ends as if it had not been; a finished one
    is not repeated. The base is given back bit for bit.

    Args:
        base: The base; its model is borrowed.
        method: What is to move, and how.
        examples: Training examples of what is to be learned.
        recipe: All other options.
        folder: An opened run folder.
        tick: For progress bars.
        tasks: The task of every example; the recipe's target where not given.
        source: Examples of what the model already knows, for methods that draw on them.
        past: What earlier tasks of a sequence left, in their order; not given outside of sequences.

    Raises:
        TrainingDiverged: If the loss is no longer a number.
        NoSpace: If the disk is full.
        BadData: If there is nothing to learn.
    """
    if folder.trained:
        return
    if not examples:
        raise BadData(f"target '{recipe.target}' has no training example")
    tasks = tasks or [recipe.target] * len(examples)
    started = time.perf_counter()
    dtype = base.model.dtype
    inputs = fixed_inputs(base.tokenizer, examples, base.model.device)
    base_logits = logits_on(base.model, inputs)
    set_seed(recipe.seed)
    with quiet():
        attachment = method.attach(base.model)
    try:
        with quiet():
            if past is not None and isinstance(attachment, Following):
                attachment.follow(past)
            # Where nothing is known at the beginning of a sequence, nothing can be mixed in.
            mixing = past is None or bool(past or source)
            taught = _taught(method, examples, tasks, source, recipe, mixing=mixing)
            trainer = _trainer(base, attachment, taught, recipe, folder, tick, dtype)
            if not len(trainer.train_dataset):
                raise BadData(
                    f"target '{recipe.target}': all of its {len(taught)} training examples are longer than "
                    f"max_length ({recipe.max_length} tokens) before their answers begin; raise max_length"
                )
            look(attachment, _by_task(trainer, examples, tasks), _batches(trainer, source))
            facts = attached_facts(attachment, base_logits, inputs)  # some choose what they train when they look
            if isinstance(attachment, Staged):
                trainer.train_in(_ordered(attachment, trainer.train_dataset, recipe))
            trainer.train(resume_from_checkpoint=_last_state(folder.resume))
        live = logits_on(attachment.model, inputs)
        facts += trained_facts(attachment, base.model)
        facts += _data_facts(trainer, taught, recipe)
        facts += attachment.facts()
        facts.append(Record(subject="run", quantity="trainable_params_at_end", value=count(attachment.model)))
        _keep_initial(attachment, method, folder, recipe.max_steps)
        if isinstance(attachment, Isolated):
            folder.write_isolation(attachment.course())
        if isinstance(attachment, Planned):
            folder.write_plan(attachment.plan())
        if past is not None and isinstance(attachment, Following):
            with quiet():
                folder.write_keepsake(attachment.keepsake())
    finally:
        attachment.detach()
        vars(base.model).pop("forward", None)  # TRL's patched forward gives way to the class's own
        base.model.eval()
    facts += saved_facts(base, folder.checkpoint(recipe.max_steps), live, inputs)
    folder.write_facts(facts)
    folder.mark_trained(
        {
            "losses": [[entry["step"], entry["loss"]] for entry in trainer.state.log_history if "loss" in entry],
            "tokens_seen": trainer.tokens_seen,
            "wall_s": time.perf_counter() - started,
        }
    )
    shutil.rmtree(folder.resume, ignore_errors=True)


def _taught(
    method: Method,
    examples: Sequence[Example],
    tasks: Sequence[str],
    source: Sequence[Example],
    recipe: TrainRecipe,
    *,
    mixing: bool,
) -> Dataset:
    """The rows to train on, each with its task: the target's, and what the method mixes in."""
    if not (mixing and isinstance(method, Mixing)):
        return training_rows(examples, tasks)
    mixed = method.mixed(examples, source, recipe.seed)
    task_of = {id(example): task for example, task in zip(examples, tasks, strict=True)}
    return training_rows(mixed, [task_of.get(id(example), SOURCE) for example in mixed])


def _by_task(trainer: CompletionTrainer, examples: Sequence[Example], tasks: Sequence[str]) -> dict[str, Make]:
    of_task: dict[str, list[Example]] = {}
    for example, task in zip(examples, tasks, strict=True):
        of_task.setdefault(task, []).append(example)
    return {task: _batches(trainer, own) for task, own in of_task.items()}


def _batches(trainer: CompletionTrainer, examples: Sequence[Example]) -> Make:
    """Makes the batches of examples; they are tokenised once, when they are first asked for."""
    tokenised = cache(lambda: trainer.tokenised(training_rows(examples)))
    return lambda: trainer.batches_of(tokenised()) if examples else iter(())


def _ordered(attachment: Staged, rows: Dataset, recipe: TrainRecipe) -> list[int]:
    if TASK not in rows.column_names:
        raise HoldfastError(f"{recipe.method} orders rows by their task, and packed rows have none; set packing: false")
    wanted = recipe.per_device_train_batch_size * recipe.gradient_accumulation_steps * recipe.max_steps
    order = attachment.order(list(rows[TASK]), wanted, recipe.seed)
    if len(order) != wanted:
        raise HoldfastError(f"{recipe.method} was asked for the order of {wanted} rows, and gave {len(order)}")
    return order


def _keep_initial(attachment: Attachment, method: Method, folder: RunFolder, last: int) -> None:
    """Keep where an adapter started: its own way back begins there. A full model starts at the base, which is kept."""
    # What moves the base is stored in another form than it is trained in, and starts at the base in that.
    if method.moves_base or not is_adapter(folder.checkpoint(last)) or folder.initial.is_file():
        return
    tensors = {name: tensor.contiguous() for name, tensor in attachment.initial().items()}
    write_tensors(folder.initial, tensors)


def _trainer(
    base: Base,
    attachment: Attachment,
    taught: Dataset,
    recipe: TrainRecipe,
    folder: RunFolder,
    tick: Tick,
    dtype: torch.dtype,
) -> CompletionTrainer:
    device = base.model.device.type
    args = SFTConfig(
        output_dir=str(folder.resume),
        max_steps=recipe.max_steps,
        per_device_train_batch_size=recipe.per_device_train_batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.lr_scheduler_type,
        warmup_steps=recipe.warmup_steps,
        optim="adamw_torch_fused",
        weight_decay=recipe.weight_decay,
        adam_beta1=recipe.adam_beta1,
        adam_beta2=recipe.adam_beta2,
        max_grad_norm=recipe.max_grad_norm,
        max_length=recipe.max_length,
        packing=recipe.packing,
        train_sampling_strategy=recipe.train_sampling_strategy,
        activation_checkpointing=recipe.activation_checkpointing,
        seed=recipe.seed,
        data_seed=recipe.seed,
        use_cpu=device == "cpu",
        bf16=device == "cuda" and dtype == torch.bfloat16,
        fp16=device == "cuda" and dtype == torch.float16,
        loss_type="nll",
        logging_steps=max(1, recipe.max_steps // 20),
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=max(1, round(RESUME_EVERY_FRAC * recipe.max_steps)),
        report_to=recipe.report_to,
        disable_tqdm=True,
    )
    trainer = CompletionTrainer(
        attachment,
        args=args,
        train_dataset=taught,
        processing_class=base.tokenizer,
        callbacks=[AttachmentCallback(attachment), CheckpointCallback(base, attachment, recipe, folder, tick)],
    )
    trainer.remove_callback(PrinterCallback)
    if isinstance(attachment, Displacing):
        take_passes(trainer, attachment)
    return trainer


def _last_state(folder: Path) -> str | None:
    """The latest complete state to resume from; incomplete ones are removed."""
    states = []
    for state in folder.glob("checkpoint-*"):
        if (state / COMPLETE).is_file():
            states.append((int(state.name.removeprefix("checkpoint-")), state))
        else:
            shutil.rmtree(state)
    return str(max(states)[1]) if states else None


def _data_facts(trainer: CompletionTrainer, taught: Dataset, recipe: TrainRecipe) -> list[Record]:
    """How many examples were left out because nothing to learn was left of them, and how many reach the limit."""
    if recipe.packing:
        reason = "examples are packed: TRL does not tell which were cut"
        return [Record(subject="run", quantity=name, reason=reason) for name in ("dropped_items", "full_length_items")]
    rows = trainer.train_dataset
    reached = sum(len(ids) >= recipe.max_length for ids in rows["input_ids"])
    return [
        Record(subject="run", quantity="dropped_items", value=len(taught) - len(rows)),
        Record(subject="run", quantity="full_length_items", value=reached),
    ]
