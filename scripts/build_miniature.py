"""Pretrain the miniature from scratch: tokenizer, weights, accuracies.

    python scripts/build_miniature.py [--output_dir DIR] [--max_steps N] ...

The corpus is the training split of the general tasks and nothing else: no target domain, no validation or test item.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from holdfast.core.task import Example, Split, Task
from holdfast.tasks.arithmetic import Arithmetic
from holdfast.tasks.cant import Cant
from holdfast.tasks.chronicle import Chronicle
from holdfast.tasks.diagnosis import Diagnosis
from holdfast.tasks.endings import Endings
from holdfast.tasks.instructions import Instructions
from holdfast.tasks.logic import Logic
from holdfast.tasks.query import Query
from holdfast.tasks.recall import Recall
from holdfast.tasks.two_hop import TwoHop
from holdfast.tasks.working import Working

GENERAL: dict[str, tuple[Task, float]] = {
    "recall": (Recall(), 1.5),
    "instructions": (Instructions(), 3.5),
    "logic": (Logic(), 2.5),
    "arithmetic": (Arithmetic(), 4.0),
    "endings": (Endings(), 0.3),
}
"""What the base is taught, and how often each ability is drawn."""

TARGETS: tuple[Task, ...] = (Working(), Diagnosis(), Query(), TwoHop(), Cant())

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{% generation %} {{ message['content'] | trim }}{{ eos_token }}{% endgeneration %}"
    "{% else %}{{ message['content'] | trim }}{% endif %}{% endfor %}"
)


def build_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE over the corpus, digits one by one; the target domains lend it no word of their own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d| ?\p{L}+| ?[^\s\p{L}\d]+|\s+"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [f"{example.prompt}{example.answer}" for task, _ in GENERAL.values() for example in task.examples("train")]
    texts += [example.answer for example in Chronicle().examples("train")]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def encode(tokenizer: PreTrainedTokenizerFast, example: Example) -> tuple[list[int], int]:
    """Token ids with end of text, and the length of the prompt: what stands before it is not learned."""
    ids = tokenizer(f"{example.prompt}{example.answer}{tokenizer.eos_token}")["input_ids"]
    return ids, len(tokenizer(example.prompt)["input_ids"])


def collate(rows: list[tuple[list[int], int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids and labels; padding and prompts are -100 in the labels."""
    width = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    labels = torch.full((len(rows), width), -100)
    for i, (row, start) in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        labels[i, start : len(row)] = torch.tensor(row[start:])
    return ids, labels


def loss_of(model: LlamaForCausalLM, rows: list[tuple[list[int], int]]) -> torch.Tensor:
    """Mean next-token loss over the supervised tokens. Causal attention never looks at padding on the right."""
    ids, labels = collate(rows)
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
    supervised = labels[:, 1:] != -100
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[supervised]), labels[:, 1:][supervised])


@torch.no_grad()
def accuracy(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, task: Task, split: Split, limit: int
) -> float:
    """Mean grade of greedy answers, or of the likeliest choice."""
    model.eval()
    examples = task.examples(split, limit)
    grades = []
    for example in examples if task.ask == "choose" else ():
        scores = []
        for choice in example.choices:
            ids = tokenizer(f"{example.prompt}{choice}", return_tensors="pt")["input_ids"]
            start = len(tokenizer(example.prompt)["input_ids"])
            logp = model(input_ids=ids).logits.log_softmax(-1)[0, start - 1 : -1]
            scores.append(logp.gather(1, ids[0, start:, None]).sum().item())
        grades.append(task.grade(example, example.choices[scores.index(max(scores))]))
    if task.ask == "generate":
        tokenizer.padding_side = "left"
        batch = tokenizer([example.prompt for example in examples], return_tensors="pt", padding=True)
        batch.pop("token_type_ids", None)
        out = model.generate(**batch, max_new_tokens=task.max_new_tokens, do_sample=False)
        tokenizer.padding_side = "right"
        answers = tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        grades = [task.grade(example, answer) for example, answer in zip(examples, answers, strict=True)]
    model.train()
    return sum(grades) / len(grades)


@torch.no_grad()
def text_loss(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, split: Split, limit: int) -> float:
    """Loss on the chronicle, in nats per token."""
    return float(loss_of(model, [encode(tokenizer, example) for example in Chronicle().examples(split, limit)]))


def build_model(tokenizer: PreTrainedTokenizerFast, args: argparse.Namespace) -> LlamaForCausalLM:
    """A fresh Llama of the asked size, with two query heads for each key."""
    heads = args.hidden_size // 32
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=args.hidden_size,
            intermediate_size=args.intermediate_size,
            num_hidden_layers=args.layers,
            num_attention_heads=heads,
            num_key_value_heads=heads // 2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )


def pretrain(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, args: argparse.Namespace) -> float:
    """Train on the mixture of abilities and on whole pages of the chronicle; returns the time it took, in s."""
    draw = random.Random(args.seed)
    pools = {name: [encode(tokenizer, e) for e in task.examples("train")] for name, (task, _) in GENERAL.items()}
    # Facts are learned from pages; only the first token of a page is not supervised.
    pages = [encode(tokenizer, e) for e in Chronicle().examples("train")]
    names, weights = list(GENERAL), [weight for _, weight in GENERAL.values()]
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.98), fused=True)
    warmup = 100
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / warmup) * max(0.02, 1 - max(0, step - warmup) / (args.max_steps - warmup)),
    )
    started = time.perf_counter()
    for step in range(1, args.max_steps + 1):
        rows = [draw.choice(pools[name]) for name in draw.choices(names, weights, k=args.batch_size)]
        loss = loss_of(model, rows) + 0.5 * loss_of(model, draw.sample(pages, max(1, args.batch_size // 12)))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 200 == 0 or step == args.max_steps:
            scores = {n: round(accuracy(model, tokenizer, t, "validation", 200), 3) for n, (t, _) in GENERAL.items()}
            elapsed = time.perf_counter() - started
            print(f"step {step} loss {loss.item():.3f} {elapsed:.0f} s {scores}", flush=True)
    return time.perf_counter() - started


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", type=Path, default=Path("src/holdfast/models/miniature"))
    parser.add_argument("--max_steps", type=int, default=4200)
    parser.add_argument("--batch_size", type=int, default=96)
    parser.add_argument("--learning_rate", type=float, default=3e-3)
    parser.add_argument("--hidden_size", type=int, default=128)
    parser.add_argument("--intermediate_size", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocab_size", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Build everything and write one Hugging Face folder."""
    args = options()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    tokenizer = build_tokenizer(args.vocab_size)
    model = build_model(tokenizer, args)
    seconds = pretrain(model, tokenizer, args)
    report = {
        "parameters": model.num_parameters(),
        "steps": args.max_steps,
        "seconds": round(seconds, 1),
        "general_accuracy_frac": {n: accuracy(model, tokenizer, t, "test", 10_000) for n, (t, _) in GENERAL.items()},
        "target_accuracy_frac": {task.name: accuracy(model, tokenizer, task, "test", 10_000) for task in TARGETS},
        "chronicle_loss_nats_per_token": text_loss(model, tokenizer, "test", 200),
    }
    args.output_dir.mkdir(parents=True, exist_ok=True)
    model.generation_config.do_sample = False
    model.save_pretrained(args.output_dir)
    tokenizer.save_pretrained(args.output_dir)
    (args.output_dir / "training.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
