"""GO in a training loop of your own: each micro-batch goes into one block, and the loop stays as it was."""

import torch

from holdfast.methods.go import Go
from holdfast.methods.widening.noise import GaussianNoise
from holdfast.models.base import open_base
from holdfast.tasks.diagnosis import Diagnosis

STEPS, MICRO_BATCHES, ROWS = 40, 2, 4
base, examples = open_base("miniature"), Diagnosis().examples("train", STEPS * MICRO_BATCHES * ROWS)
model, tokenizer = base.model.train(), base.tokenizer
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
noise: GaussianNoise = Go(sigma=2e-3).displacement(model, seed=0)  # first

for step in range(STEPS):
    losses = []
    for number in range(MICRO_BATCHES):
        first = (step * MICRO_BATCHES + number) * ROWS
        texts = [example.prompt + example.answer for example in examples[first : first + ROWS]]
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        with noise.at(step, number):  # second: noisy weights inside, clean ones outside, whatever happens
            loss = model(**batch, labels=labels).loss / MICRO_BATCHES
            loss.backward()
        losses.append(loss.item())
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()

print(f"loss at noisy weights {sum(losses):.2f}; saved, evaluated and resumed from are the clean ones")
lost = noise.rounding().vanished_frac
print(f"noise on {len(noise.tensors)} tensors, {lost:.2%} of it lost to rounding")
