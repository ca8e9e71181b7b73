"""One TRACE stage in a training loop of your own: probe, freeze, train the core, check."""

import torch

from holdfast.methods.probing.applying import apply_plan
from holdfast.methods.trace_probe import trace_probe_plan
from holdfast.models.base import open_base
from holdfast.tasks.diagnosis import Diagnosis

STEPS, ROWS = 40, 8
base, examples = open_base("miniature"), Diagnosis().examples("train", STEPS * ROWS)
model, tokenizer = base.model.train(), base.tokenizer


def batch(step: int) -> dict[str, torch.Tensor]:
    """Questions with their answers and the end of text; answers alone are learned."""
    rows = examples[ROWS * step : ROWS * (step + 1)]
    texts = [example.prompt + example.answer + tokenizer.eos_token for example in rows]
    found = dict(tokenizer(texts, padding=True, padding_side="right", return_tensors="pt"))
    prompts = torch.tensor([len(tokenizer(example.prompt)["input_ids"]) for example in rows])[:, None]
    learned = (torch.arange(found["input_ids"].shape[1]) >= prompts) & (found["attention_mask"] == 1)
    return found | {"labels": found["input_ids"].masked_fill(~learned, -100)}


batches = [batch(step) for step in range(STEPS)]
plan = trace_probe_plan(model, batches, task="diagnosis", ratio=0.1, seed=0, probe_learning_rate=1e-3)  # rewound
applied = apply_plan(plan, model)  # before the optimizer is built
core = [tensor for tensor in model.parameters() if tensor.requires_grad]
optimizer = torch.optim.AdamW(core, lr=3e-3, weight_decay=0.01)
for one in batches:
    loss = model(**one).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
applied.check()  # every frozen tensor is bit for bit what it was
applied.release()

for tensor in sorted(plan.chosen, key=lambda tensor: tensor.rank or 0):
    print(f"{tensor.rank:2} {tensor.score:.2f} {tensor.name}")
print(f"{len(plan.chosen)} of {len(plan.tensors)} eligible tensors")
print(f"{plan.trained_params:,} of {plan.model_params:,} scalars, loss {loss.item():.2f}")
print(f"the probe took {plan.settings['probe_steps']} steps")
