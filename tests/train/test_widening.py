"""Training for wider basins in trainers that know nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import GradientState
from datasets import Dataset
from safetensors.torch import load_file
from small import bits, same_bits
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments
from trl import SFTConfig, SFTTrainer

from holdfast.algebra.normals import normal
from holdfast.core.errors import DamagedCheckpoint, HoldfastError, NotMeasurable, RecipeError
from holdfast.core.task import Example
from holdfast.methods.asam import Asam
from holdfast.methods.ema import Ema
from holdfast.methods.go import Go
from holdfast.methods.lora import Lora
from holdfast.methods.on_top import method_named
from holdfast.methods.sam import Sam
from holdfast.methods.swa import Swa
from holdfast.models.base import Base
from holdfast.testing.laws import small_model
from holdfast.train.data import training_rows
from holdfast.train.hooks import callback
from holdfast.train.widening import AverageCallback, widen, widening
from holdfast.weights.quiet import quiet

GO = Go(sigma=0.05)
Put = Callable[[Trainer], object]


def rows() -> Dataset:
    tokens = torch.randint(3, 128, (48, 12), generator=torch.Generator().manual_seed(0))
    return Dataset.from_dict({"input_ids": tokens.tolist(), "labels": tokens.tolist()})


class Watch(TrainerCallback):
    """Sees the weights at every event at which they are to be clean."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Tensor]]] = []

    def _see(self, event: str, model: nn.Module) -> None:
        self.seen.append((event, {n: t.detach().clone() for n, t in model.named_parameters()}))

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._see("train_begin", kwargs["model"])

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._see("epoch_begin", kwargs["model"])

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._see("optimizer_step", kwargs["model"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._see("step_end", kwargs["model"])

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._see("evaluate", kwargs["model"])

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._see("save", kwargs["model"])

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._see("train_end", kwargs["model"])

    def at(self, event: str) -> list[dict[str, Tensor]]:
        return [weights for name, weights in self.seen if name == event]


def train(
    folder: Path,
    put: Put = lambda trainer: None,
    model: PreTrainedModel | None = None,
    resume: str | None = None,
    **options: Any,
) -> tuple[PreTrainedModel, Watch]:
    given = {
        "max_steps": 6,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-2,
        "max_grad_norm": 0.5,
        "save_steps": 3,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 1,
    }
    model, watch = model or small_model(), Watch()
    with quiet():
        arguments = TrainingArguments(str(folder), **{**given, **options})
        trainer = Trainer(model, arguments, train_dataset=rows(), eval_dataset=rows().select(range(4)))
        put(trainer)
        trainer.add_callback(watch)
        trainer.train(resume_from_checkpoint=resume)
    return model, watch


def by_callback(method: Any) -> Put:
    return lambda trainer: trainer.add_callback(widening(method))


def by_trainer(method: Any) -> Put:
    return lambda trainer: widen(trainer, method)


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("method", [Go(sigma=0.0), Sam(rho=0.0), Asam(rho=0.0), Ema(decay=0.0)], ids=lambda m: m.name)
def test_at_0_it_is_plain_training_bit_for_bit(tmp_path: Path, method: Any) -> None:
    plain, _ = train(tmp_path / "plain")
    widened, _ = train(tmp_path / "widened", by_trainer(method))
    assert equal(plain, widened)


PUT = {"widening(go)": by_callback(GO), "widen(go)": by_trainer(GO), "widen(sam)": by_trainer(Sam(rho=0.5))}


@pytest.mark.parametrize("put", PUT.values(), ids=PUT.keys())
@pytest.mark.parametrize(
    "options",
    [{}, {"bf16": True}, {"activation_checkpointing": True}, {"gradient_accumulation_steps": 5, "save_steps": 5}],
    ids=str,
)
def test_training_begins_at_clean_weights_and_evaluates_and_saves_them(
    tmp_path: Path, put: Put, options: dict[str, Any]
) -> None:
    """At a rate of 0 all that is ever seen is the base; 24 micro-batches are no multiple of 5."""
    base = {name: tensor.detach().clone() for name, tensor in small_model().named_parameters()}
    shared = {"learning_rate": 0.0, "eval_strategy": "steps", "eval_steps": 2, "num_train_epochs": 2, "max_steps": -1}
    _, watch = train(tmp_path, put, **{**shared, **options})
    assert {event for event, _ in watch.seen} >= {"train_begin", "epoch_begin", "step_end", "evaluate", "save"}
    for event, weights in watch.seen:
        assert all(torch.equal(weights[name], tensor) for name, tensor in base.items()), event
    saved = load_file(next(tmp_path.glob("checkpoint-*")) / "model.safetensors")
    assert all(torch.equal(saved[name], tensor) for name, tensor in base.items() if name in saved)


def test_go_is_a_plain_loop_at_noisy_weights(tmp_path: Path) -> None:
    """Two steps of two micro-batches, written out with copies of the model and numbers of the generator."""
    options = {"max_steps": 2, "optim": "adamw_torch", "lr_scheduler_type": "constant", "max_grad_norm": 0.0}
    model, seen = small_model(), []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].clone()), with_kwargs=True)
    found, _ = train(tmp_path / "one", by_callback(GO), model, **options)
    other, _ = train(tmp_path / "other", by_trainer(GO), **options)
    assert equal(found, other)
    twin = small_model()
    optimizer = torch.optim.AdamW(twin.parameters(), lr=1e-2, weight_decay=0.0)
    for step in range(2):
        for number in range(2):
            noisy, tokens = small_model(), seen[2 * step + number]
            noisy.load_state_dict(twin.state_dict())
            with torch.no_grad():
                for name, tensor in noisy.named_parameters():
                    tensor.add_(0.05 * normal(1, f"{name} {step} {number}", 0, tensor.numel()).view(tensor.shape))
            (noisy(input_ids=tokens, labels=tokens).loss / 2).backward()
            for tensor, noisy_tensor in zip(twin.parameters(), noisy.parameters(), strict=True):
                tensor.grad = noisy_tensor.grad.clone() + (0 if tensor.grad is None else tensor.grad)
        optimizer.step()
        optimizer.zero_grad()
    for name, tensor in twin.named_parameters():
        torch.testing.assert_close(found.get_parameter(name), tensor, rtol=1e-3, atol=1e-4)


METHODS = [GO, Sam(rho=0.5), Ema(decay=0.5), Swa(start_frac=0.6), Swa(start_frac=0.4)]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.spec())
def test_a_resumed_training_ends_as_one_that_was_not_cut_off(tmp_path: Path, method: Any) -> None:
    whole, _ = train(tmp_path, by_trainer(method))
    again, watch = train(tmp_path, by_trainer(method), resume=str(tmp_path / "checkpoint-3"))
    assert len(watch.at("step_end")) == 3
    assert equal(whole, again)


def test_sam_takes_every_gradient_at_the_top_of_its_slope(tmp_path: Path) -> None:
    options = {"max_steps": 1, "optim": "sgd", "lr_scheduler_type": "constant", "max_grad_norm": 0.0}
    model, seen = small_model(), []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].clone()), with_kwargs=True)
    found, _ = train(tmp_path, by_trainer(Sam(rho=0.5)), model, **options)
    assert len(seen) == 4 and torch.equal(seen[0], seen[1]) and torch.equal(seen[2], seen[3])
    expected = small_model()
    for tokens in (seen[0], seen[2]):
        climbed = small_model()
        climbed(input_ids=tokens, labels=tokens).loss.backward()
        length = torch.cat([tensor.grad.flatten() for tensor in climbed.parameters()]).norm()
        with torch.no_grad():
            for tensor in climbed.parameters():
                tensor.add_(tensor.grad, alpha=float(0.5 / length))
        climbed.zero_grad()
        climbed(input_ids=tokens, labels=tokens).loss.backward()
        with torch.no_grad():
            for tensor, other in zip(expected.parameters(), climbed.parameters(), strict=True):
                tensor.sub_(1e-2 * other.grad / 2)
    for name, tensor in expected.named_parameters():
        torch.testing.assert_close(found.get_parameter(name), tensor, rtol=1e-5, atol=1e-6)


def test_only_the_last_pass_of_a_step_counts_as_the_one_that_completes_its_gradient(tmp_path: Path) -> None:
    model, seen = small_model(), []
    model.register_forward_pre_hook(lambda *_: seen.append(GradientState().sync_gradients))
    train(tmp_path, by_trainer(Sam()), model, max_steps=2)
    assert seen == [False, False, False, True] * 2


def test_what_is_evaluated_saved_and_ended_with_is_the_average(tmp_path: Path) -> None:
    _, plain = train(tmp_path / "plain")
    _, watch = train(tmp_path / "mean", by_trainer(Swa(start_frac=0.0)), eval_strategy="steps", eval_steps=3)
    name = "model.layers.0.mlp.up_proj.weight"
    steps = torch.stack([weights[name] for weights in plain.at("step_end")])
    for event, upto in [("evaluate", (3, 6)), ("save", (3, 6)), ("train_end", (6,))]:
        for weights, count in zip(watch.at(event), upto, strict=True):
            torch.testing.assert_close(weights[name], steps[:count].mean(0), rtol=1e-5, atol=1e-6)
    saved = load_file(tmp_path / "mean" / "checkpoint-3" / "model.safetensors")
    torch.testing.assert_close(saved[name], steps[:3].mean(0), rtol=1e-5, atol=1e-6)


def test_a_training_that_is_stopped_early_ends_with_the_average_of_its_steps(tmp_path: Path) -> None:
    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = state.global_step == 2

    def put(trainer: Trainer) -> None:
        widen(trainer, Swa(start_frac=0.0))
        trainer.add_callback(Stop())

    _, plain = train(tmp_path / "plain", max_steps=6)
    found, _ = train(tmp_path / "mean", put)
    expected = torch.stack([weights["lm_head.weight"] for weights in plain.at("step_end")[:2]]).mean(0)
    torch.testing.assert_close(found.lm_head.weight.detach(), expected, rtol=1e-5, atol=1e-6)


def test_a_training_that_is_stopped_between_micro_batches_ends_with_clean_weights(tmp_path: Path) -> None:
    class Stop(TrainerCallback):
        def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = True

    for way in (by_callback(GO), by_trainer(GO)):
        found, _ = train(tmp_path, lambda trainer, way=way: (way(trainer), trainer.add_callback(Stop())))
        assert equal(found, small_model())


def test_weights_are_given_back_after_an_exception(tmp_path: Path) -> None:
    class Failing(Trainer):
        def compute_loss(self, *passed: Any, **kwargs: Any) -> Any:
            raise KeyboardInterrupt

    arguments = TrainingArguments(str(tmp_path), report_to="none", use_cpu=True, disable_tqdm=True)
    start = bits(small_model())
    with quiet():
        trainer = Failing(small_model(), arguments, train_dataset=rows())
        widen(trainer, GO)
        with pytest.raises(KeyboardInterrupt):
            trainer.train()
        assert same_bits(bits(trainer.model), start)
        back: Any = widening(GO)
        trainer = Failing(small_model(), arguments, train_dataset=rows(), callbacks=[back])
        with pytest.raises(KeyboardInterrupt):
            trainer.train()
    assert not same_bits(bits(trainer.model), start)
    back.give_back()
    assert same_bits(bits(trainer.model), start)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_training_after_one_that_was_cut_off_within_a_pass_begins_at_clean_weights(
    tmp_path: Path, resumed: bool
) -> None:
    class Cut(TrainerCallback):
        def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            raise KeyboardInterrupt

    train(tmp_path)
    folder, model, go = tmp_path / "checkpoint-3", small_model(), widening(GO)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", lambda trainer: (trainer.add_callback(go), trainer.add_callback(Cut())), model)
    assert not equal(model, small_model())
    resume = str(folder) if resumed else None
    _, watch = train(tmp_path / "again", lambda trainer: trainer.add_callback(go), model, resume)
    clean = load_file(folder / "model.safetensors") if resumed else small_model().state_dict()
    (begun,) = watch.at("train_begin")
    assert all(torch.equal(tensor, clean[name]) for name, tensor in begun.items() if name in clean)


@pytest.mark.parametrize("method", [GO, Sam(rho=0.5)], ids=lambda method: method.name)
def test_an_adapter_in_trl_is_widened_and_tokens_are_counted_once(
    miniature: Base, examples: list[Example], tmp_path: Path, method: Any
) -> None:
    tokens, weights = [], []
    arguments = SFTConfig(
        str(tmp_path), max_steps=2, per_device_train_batch_size=2, gradient_accumulation_steps=2, use_cpu=True,
        bf16=False, activation_checkpointing=False, report_to="none", disable_tqdm=True, save_strategy="no",
        logging_steps=1, learning_rate=1e-2,
    )  # fmt: skip
    for put in (lambda trainer: None, by_trainer(method)):
        torch.manual_seed(0)
        attachment = Lora(r=2).attach(miniature.model)
        with quiet():
            trainer = SFTTrainer(
                attachment.model, arguments, train_dataset=training_rows(examples), processing_class=miniature.tokenizer
            )
            put(trainer)
            trainer.train()
        tokens.append([entry["num_tokens"] for entry in trainer.state.log_history if "num_tokens" in entry])
        weights.append(torch.cat([tensor.detach().flatten() for tensor in attachment.trainable().values()]))
        attachment.detach()
        vars(miniature.model).pop("forward", None)
    assert tokens[0] == tokens[1] and tokens[0][0] > 0
    assert not torch.equal(*weights)


def test_an_attached_method_displaces_weights_by_its_callback_too(tmp_path: Path) -> None:
    """``callback`` and `widening` are one, but for the seed: that of the attachment is torch's at attaching."""
    torch.manual_seed(1)
    attachment = GO.attach(small_model())
    found, _ = train(tmp_path / "one", lambda t: t.add_callback(callback(attachment)), attachment.model)
    other, _ = train(tmp_path / "other", by_callback(GO))
    assert equal(found, other)


def test_an_attached_method_s_callback_pulls_and_stops_at_clean_weights(tmp_path: Path) -> None:
    class Stop(TrainerCallback):
        def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_training_stop = state.global_step == 1

    attachment = method_named("l2_sp(strength=10.0, on='go(sigma=0.05)')").attach(small_model())
    pulls, pull = [], attachment.penalty
    attachment.penalty = lambda: (pulls.append(pull()), pulls[-1])[1]  # type: ignore[method-assign]
    _, watch = train(
        tmp_path, lambda t: (t.add_callback(callback(attachment)), t.add_callback(Stop())), attachment.model
    )
    assert pulls[0].item() == 0  # at the noisy weights of the first step it would not be
    assert all(torch.equal(watch.at("train_end")[0][n], t) for n, t in watch.at("step_end")[0].items())


def test_two_passes_are_refused_where_there_is_only_a_callback() -> None:
    with pytest.raises(
        HoldfastError, match=r"^sam\(rho=0.1\) sends every micro-batch forward and backward 2 times, and"
    ):
        widening(Sam(rho=0.1))
    with pytest.raises(HoldfastError, match=r"put this one into the trainer by holdfast.train.widening.widen\(trainer"):
        callback(Sam().attach(small_model()))
    widening(Sam(rho=0.0))


@pytest.mark.parametrize("method", [Go(sigma=-1.0), Ema(decay=1.0)], ids=lambda method: method.name)
def test_options_that_cannot_be_are_refused_before_training(method: Any) -> None:
    with pytest.raises(RecipeError, match="must be"):
        widening(method)


def test_deepspeed_is_refused(tmp_path: Path) -> None:
    with quiet():
        trainer = Trainer(small_model(), TrainingArguments(str(tmp_path), report_to="none", use_cpu=True))
    trainer.is_deepspeed_enabled = True
    with pytest.raises(HoldfastError, match="go takes gradients at displaced weights, and DeepSpeed keeps copies"):
        widen(trainer, GO)


def test_resuming_without_an_average_says_what_to_do(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(DamagedCheckpoint, match=r"there is no average.safetensors: was it saved without an average"):
        train(tmp_path, by_trainer(Ema()), resume=str(tmp_path / "checkpoint-3"))


def test_an_average_that_lies_elsewhere_can_be_gone_on_from(tmp_path: Path) -> None:
    whole, _ = train(tmp_path / "one", by_trainer(Ema(decay=0.5)))
    folder = tmp_path / "one" / "checkpoint-3"
    away = widening(Ema(decay=0.5), resume_from=folder)
    again, _ = train(tmp_path / "other", lambda trainer: trainer.add_callback(away), resume=str(folder))
    assert equal(whole, again)


def test_before_training_there_is_no_average_to_ask_for() -> None:
    found = widening(Ema())
    assert isinstance(found, AverageCallback)
    with pytest.raises(NotMeasurable, match=r"^ema has averaged nothing yet: its training has not begun"):
        _ = found.average
