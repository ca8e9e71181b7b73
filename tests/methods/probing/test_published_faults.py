"""What is wrong in the public scripts of TRACE is not wrong here: one test a fault, named by what could go wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from chosen import QUICK, names, stream, tiny
from torch import Tensor

from holdfast.algebra.specificity import specificity
from holdfast.core.errors import HoldfastError
from holdfast.methods.probing.scoring import importance
from holdfast.methods.probing.signals import fisher, score_deltas
from holdfast.methods.probing.warm_start import WarmStart
from holdfast.methods.trace_probe import trace_probe_plan
from holdfast.models.base import Base
from holdfast.tasks.diagnosis import Diagnosis
from holdfast.weights.material import Batch

NORM = "model.layers.0.input_layernorm.weight"


class Reading(torch.nn.Module):
    """A model that writes down what it is given, in which mode."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model, self.seen = model, list[tuple[bool, dict[str, Tensor]]]()

    def forward(self, **batch: Tensor) -> Any:
        self.seen.append((self.training, {key: value.clone() for key, value in batch.items()}))
        return self.model(**batch)


def asked(base: Base) -> tuple[list[Batch], list[str]]:
    """Batches of one question each, tokenised by the base's own tokenizer, and the answers."""
    batches, answers = [], []
    for example in Diagnosis().examples("train", 4):
        assert isinstance(example.prompt, str)
        prompt = base.tokenizer(example.prompt)["input_ids"]
        tokens = base.tokenizer(example.prompt + example.answer)["input_ids"] + [base.tokenizer.eos_token_id]
        ids = torch.tensor([tokens])
        labels = ids.clone()
        labels[:, : len(prompt)] = -100
        batches.append({"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels})
        answers.append(example.answer)
    return batches, answers


def test_fault_1_tokens_of_another_tokenizer(miniature: Base) -> None:
    """The scripts read Fisher text with one hard-coded tokenizer; here both parts see the very same tokens."""
    batches, _ = asked(miniature)
    reading = Reading(tiny())
    few = [{key: value % 128 for key, value in batch.items() if key != "labels"} for batch in batches]
    few = [{**batch, "labels": batch["input_ids"]} for batch in few]
    trace_probe_plan(reading, few, eligible="all", ratio=0.2, **QUICK)
    trained = {tuple(batch["input_ids"][0].tolist()) for mode, batch in reading.seen if mode}
    measured = {tuple(batch["input_ids"][0].tolist()) for mode, batch in reading.seen if not mode}
    assert trained <= measured == {tuple(batch["input_ids"][0].tolist()) for batch in few}


def test_fault_2_fisher_on_raw_text_without_template_and_end(miniature: Base) -> None:
    """What is measured is what training sees, template and end of text with it."""
    batches, _ = asked(miniature)
    reading = Reading(miniature.model)
    tensors = {name: each for name, each in miniature.model.named_parameters() if name.endswith("q_proj.weight")}
    fisher(reading, batches, tensors=tensors)
    for (_, seen), batch in zip(reading.seen, batches, strict=True):
        assert torch.equal(seen["input_ids"], batch["input_ids"]) and torch.equal(seen["labels"], batch["labels"])
        assert int(seen["labels"][0, -1]) == miniature.tokenizer.eos_token_id


def test_fault_3_the_first_token_of_the_answer_is_not_learned() -> None:
    """On shifted labels the scripts drop one target too many; here a label on the first answer token alone counts."""
    model = tiny()
    tokens = torch.randint(3, 128, (1, 8))
    labels = torch.full_like(tokens, -100)
    labels[0, 5] = tokens[0, 5]  # a prompt of five tokens, and the first token of the answer
    found = fisher(model, [{"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "labels": labels}])
    model.zero_grad()
    logits = model(input_ids=tokens).logits
    torch.nn.functional.cross_entropy(logits[:, 4], tokens[:, 5]).backward()
    for name, tensor in model.named_parameters():
        assert float(found[name]) == pytest.approx(float(tensor.grad.square().mean()), rel=1e-4), name


@pytest.mark.parametrize("per", ["sequence", "batch"])
def test_fault_4_division_by_150_however_few_were_seen(per: Any) -> None:
    model, batches = tiny(), stream(0)
    once = fisher(model, batches, per=per)
    twice = fisher(model, [*batches, *batches], per=per)
    assert {n: float(t) for n, t in once.items()} == pytest.approx({n: float(t) for n, t in twice.items()}, rel=1e-5)


def test_fault_5_changes_between_checkpoints_in_half_precision() -> None:
    """In bfloat16 norms do not move at all, and many entries of matrices do not; the probe's own changes are exact."""
    model = tiny(dtype=torch.bfloat16)
    start = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    plan = trace_probe_plan(model, stream(0), eligible="all", **{**QUICK, "probe_learning_rate": 2e-5})
    ours = {tensor.name: tensor for tensor in plan.tensors}
    model.float()
    WarmStart(2e-5, 1, 2, plan.seed).train(model, "task", stream(0))
    rounded = {name: tensor.detach().bfloat16() for name, tensor in model.named_parameters()}
    theirs = score_deltas(start, rounded)
    assert theirs[NORM].zero_frac == 1 and float(theirs[NORM].length) == 0
    assert ours[NORM].zero_frac == 0 and ours[NORM].signals["l2_rms"] > 0
    inner = [name for name in theirs if "proj" in name]
    assert min(theirs[name].zero_frac for name in inner) > 0.1
    assert max(ours[name].zero_frac or 0 for name in inner) < 0.05


def test_fault_5_a_change_that_was_rounded_away_reads_as_specific() -> None:
    """The scripts' cosine of nothing is 0, below all others where tasks are alike; here it is no number at all."""
    same, nothing = torch.ones(4), torch.zeros(4)
    found = specificity({"a": {"w": same, "norm": nothing}, "b": {"w": same, "norm": nothing}})
    assert found["a"] == {"w": pytest.approx(1.0), "norm": None}


def test_fault_6_embeddings_and_head_are_chosen_and_tied_ones_counted_once() -> None:
    plan = trace_probe_plan(tiny(), stream(0), ratio=1.0, **QUICK)
    assert not any(part in name for name in names(plan) for part in ("embed", "lm_head", "norm"))
    tied = trace_probe_plan(tiny(tied=True), stream(0), ratio=1.0, eligible="all", **QUICK)
    (shared,) = (tensor for tensor in tied.tensors if "embed" in tensor.name)
    assert shared.same_as == ("lm_head.weight",) and len(tied.tensors) == tied.model_tensors


def test_fault_7_and_9_the_single_largest_tensor_sets_the_scale_of_its_axis() -> None:
    """With one outlier in Fisher min-max leaves its axis without a say among the others; ranks do not."""
    lengths = {f"t{at}": torch.tensor(float(at)) for at in range(6)}
    heavy = {f"t{at}": torch.tensor(float(5 - at)) for at in range(5)} | {"t5": torch.tensor(1e6)}
    minmax = importance(lengths, heavy, 0.5, "minmax", ("l2", "fisher")).scores
    rank = importance(lengths, heavy, 0.5, "rank", ("l2", "fisher")).scores
    others = [f"t{at}" for at in range(5)]
    assert sorted(others, key=lambda name: float(minmax[name])) == others  # by length alone
    assert len({round(float(rank[name]), 9) for name in others}) == 1  # an equal vote of two opposite orders
    by_rank = trace_probe_plan(tiny(), stream(0), combine="rank", **QUICK)
    assert by_rank.settings["combine"] == "rank"


def test_fault_8_lists_and_scores_that_hang_on_an_unseeded_draw() -> None:
    """The scripts shuffle and sample without a seed of record; here it is in the plan, and makes the same list."""
    torch.manual_seed(11)
    one = trace_probe_plan(tiny(), stream(0, 5), **QUICK)
    torch.manual_seed(99)
    again = trace_probe_plan(tiny(), stream(0, 5), seed=one.seed, **QUICK)
    assert one.tensors[0].score == again.tensors[0].score and names(one) == names(again)


@pytest.mark.parametrize("per", ["sequence", "batch"])
def test_fault_10_a_failing_fisher_falls_back_to_lengths_in_silence(per: Any) -> None:
    model = tiny()

    def fail(*seen: Any) -> None:
        if not model.training:
            raise RuntimeError("out of memory")

    model.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        trace_probe_plan(model, stream(0), fisher=per, **QUICK)
    overflowing = tiny()
    overflowing.lm_head.weight.register_hook(lambda gradient: gradient + float("inf"))
    with pytest.raises(HoldfastError, match=r"the Fisher information of 'lm_head\.weight' is no number"):
        fisher(overflowing, stream(0), per=per)
