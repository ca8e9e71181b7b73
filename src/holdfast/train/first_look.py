"""What a task needs of a model, found as a training would find it, and nothing trained."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial

from transformers import PrinterCallback, set_seed
from trl import SFTConfig

from holdfast.core.errors import BadData, RecipeError
from holdfast.core.parameter_plan import ParameterPlan
from holdfast.core.recipe import TrainRecipe
from holdfast.core.record import Record
from holdfast.core.task import Example
from holdfast.models.base import Base
from holdfast.train.data import TASK, training_rows
from holdfast.train.looking import look
from holdfast.train.trainer import CompletionTrainer
from holdfast.weights.contracts import Method, Planned
from holdfast.weights.quiet import quiet


def probed(
    base: Base, method: Method, examples: Sequence[Example], tasks: Sequence[str], recipe: TrainRecipe
) -> tuple[ParameterPlan, tuple[Record, ...]]:
    """Let a method choose what it would train, on batches as a training would show them.

    Args:
        base: The base; its model is given back bit for bit.
        method: A method that chooses, such as ``trace_probe``.
        examples: Training examples of what the recipe's target names.
        tasks: The task of every example.
        recipe: How examples are cut and batched, and the seed.

    Returns:
        The plan, and what finding it took.

    Raises:
        RecipeError: If the method does not choose tensors.
        BadData: If there is nothing to learn.
        TrainingDiverged: If the probe's loss is no longer a number.
    """
    if not examples:
        raise BadData(f"target '{recipe.target}' has no training example")
    set_seed(recipe.seed)
    with quiet():
        attachment = method.attach(base.model)
    try:
        if not isinstance(attachment, Planned):
            raise RecipeError(
                [f"method: '{recipe.method}' chooses no tensors by looking at a task; one that does is trace_probe"]
            )
        with quiet(), tempfile.TemporaryDirectory() as nowhere:
            args = SFTConfig(
                output_dir=nowhere,
                per_device_train_batch_size=recipe.per_device_train_batch_size,
                max_length=recipe.max_length,
                activation_checkpointing=recipe.activation_checkpointing,
                seed=recipe.seed,
                use_cpu=base.model.device.type == "cpu",
                bf16=False,
                loss_type="nll",
                report_to="none",
                disable_tqdm=True,
            )
            taught = training_rows(examples, tasks)
            trainer = CompletionTrainer(attachment, args=args, train_dataset=taught, processing_class=base.tokenizer)
            trainer.remove_callback(PrinterCallback)
            rows = trainer.train_dataset
            if not len(rows):
                raise BadData(
                    f"target '{recipe.target}': all of its {len(taught)} training examples are longer than max_length "
                    f"({recipe.max_length} tokens) before their answers begin; raise max_length"
                )
            of_task = list(rows[TASK])
            parts = {task: [at for at, its in enumerate(of_task) if its == task] for task in dict.fromkeys(tasks)}
            shown = {task: partial(trainer.batches_of, rows.select(part)) for task, part in parts.items()}
            look(attachment, shown, lambda: iter(()))
        return attachment.plan(), tuple(attachment.facts())
    finally:
        attachment.detach()
        vars(base.model).pop("forward", None)  # TRL's patched forward gives way to the class's own
        base.model.eval()
