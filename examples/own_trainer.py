"""A method in your own TRL trainer, and what the model gains and forgets on the way to what it learned."""

from datasets import Dataset
from transformers import set_seed
from trl import SFTConfig, SFTTrainer

from holdfast.measure.evaluate import evaluate
from holdfast.measure.points import Along
from holdfast.methods.lora import Lora
from holdfast.models.base import open_base
from holdfast.tasks.diagnosis import Diagnosis
from holdfast.tasks.suites import GENERAL
from holdfast.train import callback
from holdfast.weights.path import DenseLine

set_seed(0)  # where the adapter starts
base, task = open_base("miniature"), Diagnosis()
tuned = Lora(r=8).attach(base.model)
rows = Dataset.from_list([{"prompt": e.prompt, "completion": e.answer} for e in task.examples("train", 2400)])
args = SFTConfig("runs/own", max_steps=150, per_device_train_batch_size=16, learning_rate=4e-3, bf16=False)
SFTTrainer(tuned.model, args, train_dataset=rows, processing_class=base.tokenizer, callbacks=[callback(tuned)]).train()

line = DenseLine(tuned.update())  # from the base to what was learned
tuned.detach()
tasks = {"diagnosis": task} | {kept.name: kept for kept in GENERAL.keep if kept.ask == "generate"}
for t in (0, 0.25, 0.5, 0.75, 1):
    with Along(line, t).on(base.model) as model:
        scores = evaluate(model, base.tokenizer, tasks, split="test", limit=100)
    print(f"{t:4}", *(f"{scored.task} {scored.mean:.2f}" for scored in scores.tasks))
