"""EPI in a training loop of your own: three calls, and the loop stays as it was."""

import torch

from holdfast.methods.epi import Epi
from holdfast.models.base import open_base
from holdfast.tasks.diagnosis import Diagnosis

STEPS, ROWS = 40, 8
base, examples = open_base("miniature"), Diagnosis().examples("train", STEPS * ROWS)
model, tokenizer = base.model.train(), base.tokenizer
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
isolation = Epi(ratio=0.01).isolate(model, optimizer, steps=STEPS)  # first: after the optimizer is built

for step in range(STEPS):
    texts = [example.prompt + example.answer for example in examples[ROWS * step : ROWS * (step + 1)]]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    model(**batch, labels=labels).loss.backward()
    isolation.observe()  # second: where gradients are clipped or scaled by hand, right before that
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()

course = isolation.course("epi", model.num_parameters())
last, overlap = course.refreshes[-1], course.jaccard[0][-1]
print(f"{last.held} of {course.eligible} scalars held, {last.released} released at step {last.step}")
print(f"overlap of first and last choice {overlap:.2f}, of two random ones {course.chance_jaccard:.4f}")
isolation.detach()  # third: everything moves again; save isolation.state_dict() with your checkpoints until then
