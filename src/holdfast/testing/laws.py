"""The laws that every method promises to keep, as checks that anybody can run on a method of their own.

from holdfast.testing.laws import broken_laws
assert not broken_laws(MyMethod())
"""

from __future__ import annotations

import copy
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.core.errors import NotMeasurable
from holdfast.measure.points import Checkpoint
from holdfast.weights.contracts import Attachment, Method, Planned, Sourced
from holdfast.weights.material import Batch, Material
from holdfast.weights.passes import take_gradient
from holdfast.weights.quiet import quiet

TOLERANCE = 2e-5
"""Largest difference of logits, as a share of the largest logit, that rounding may make."""

STEPS = 4


@dataclass(frozen=True)
class Broken:
    """A law that a method breaks.

    Attributes:
        law: Name of the law.
        how: What was seen.
    """

    law: str
    how: str


@dataclass
class _Trained:
    """A method that has been trained for a few steps on a small model, with what was seen on the way."""

    method: Method
    base: PreTrainedModel
    state: dict[str, Tensor]
    inputs: Tensor
    base_logits: Tensor
    attachment: Attachment
    fresh_logits: Tensor
    live_logits: Tensor = field(default_factory=lambda: torch.empty(0))
    idle_gradients: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)


Law = Callable[[_Trained], str | None]
"""Looks at a trained method; says how the law is broken, or nothing."""


def broken_laws(method: Method, model: PreTrainedModel | None = None) -> list[Broken]:
    """Run all laws on a method; an empty list means that it keeps them.

    Args:
        method: The method.
        model: A small model to try it on; a two-layer Llama with random weights where not given. It is left as it was.

    Returns:
        Broken laws, in the order of `LAWS`. A method that cannot be attached or trained at all breaks one law only.
    """
    if not is_dataclass(method) or not isinstance(method, Method):
        return [Broken("is a method", f"{type(method).__name__} is not a dataclass with the members of a Method")]
    if (how := _seen(method, model, lambda seen: None)) is not None:
        return [Broken("attaches and trains", how)]
    found = {name: _seen(method, model, law, measurable=name not in UNMEASURABLE) for name, law in LAWS.items()}
    return [Broken(name, how) for name, how in found.items() if how is not None]


def small_model(seed: int = 0) -> PreTrainedModel:
    """A two-layer Llama with random weights, in float32."""
    with _seeded(seed):
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=128,
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=64,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
            )
        )
    return model.eval()


def _seen(method: Method, model: PreTrainedModel | None, law: Law, *, measurable: bool = True) -> str | None:
    """What a law says of a method that has been trained afresh: one law may leave anything behind."""
    try:
        with quiet(), _seeded(0):
            return law(_trained(method, copy.deepcopy(model) if model is not None else small_model()))
    except NotMeasurable as reason:
        return f"not measurable: {reason}" if measurable else None
    except Exception as error:  # a stranger's method may fail in any way, and each of them is a finding
        return f"{type(error).__name__}: {error}"


def _starts_at_base(seen: _Trained) -> str | None:
    distance = _distance(seen.fresh_logits, seen.base_logits)
    return f"a fresh attachment moves logits by {distance:.2g} of the largest" if distance > TOLERANCE else None


def _only_trainable(seen: _Trained) -> str | None:
    if seen.idle_gradients:
        return f"'{seen.idle_gradients[0]}' gets a gradient and is not in trainable()"
    names = {name for name, tensor in seen.attachment.model.named_parameters() if tensor.requires_grad}
    odd = names ^ set(seen.attachment.trainable())
    return f"'{sorted(odd)[0]}' is either trainable or listed, and not both" if odd else None


def _moves(seen: _Trained) -> str | None:
    distance = _distance(seen.live_logits, seen.base_logits)
    return "training does not change what the model says" if distance < TOLERANCE else None


def _update_is_model(seen: _Trained) -> str | None:
    update = seen.attachment.update()
    seen.attachment.detach()
    with update.added_to(seen.base):
        distance = _distance(_logits(seen.base, seen.inputs), seen.live_logits)
    return f"base + update answers {distance:.2g} off the attached model" if distance > 10 * TOLERANCE else None


def _detaches(seen: _Trained) -> str | None:
    base = seen.attachment.detach()
    state = base.state_dict()
    if list(state) != list(seen.state):
        return "detach() leaves other tensors than there were"
    changed = [name for name, tensor in seen.state.items() if not torch.equal(tensor, state[name])]
    return f"'{changed[0]}' is not bit for bit what it was" if changed else None


def _path_starts_at_base(seen: _Trained) -> str | None:
    path = seen.attachment.path()
    start, end = path.at(0.0), path.at(1.0)
    seen.attachment.detach()
    with start.added_to(seen.base):
        distance = _distance(_logits(seen.base, seen.inputs), seen.base_logits)
    if distance > 10 * TOLERANCE:
        return f"at 0 the path is {distance:.2g} off the base"
    with end.added_to(seen.base):
        distance = _distance(_logits(seen.base, seen.inputs), seen.live_logits)
    return f"at 1 the path is {distance:.2g} off the trained model" if distance > 10 * TOLERANCE else None


def _saves(seen: _Trained) -> str | None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seen.attachment.save(folder)
        seen.attachment.detach()
        with Checkpoint(folder).on(seen.base) as model:
            distance = _distance(_logits(model, seen.inputs), seen.live_logits)
    return f"what was saved answers {distance:.2g} off what was trained" if distance > 10 * TOLERANCE else None


def _same_seed(seen: _Trained) -> str | None:
    update = seen.attachment.update()
    again = _trained(seen.method, _rebuilt(seen)).attachment.update()
    if set(update) != set(again):
        return "the same seed moves other weights"
    odd = [name for name in update if not torch.equal(update[name].dense(), again[name].dense())]
    return f"the same seed makes another update of '{odd[0]}'" if odd else None


def _leaves_alone(seen: _Trained) -> str | None:
    listed = set(seen.attachment.update())
    odd = [name for name in seen.moved if name not in listed]
    return f"'{odd[0]}' has moved and is not in update()" if odd else None


def _counts(seen: _Trained) -> str | None:
    trained = sum(tensor.numel() for tensor in seen.attachment.trainable().values())
    stated = seen.method.parameters(_rebuilt(seen))
    if isinstance(seen.attachment, Planned):  # what it chooses from data it can state beforehand only as the most
        return f"states at most {stated:,} parameters and trains {trained:,}" if trained > stated else None
    return f"states {stated:,} parameters and trains {trained:,}" if stated != trained else None


def _travels(seen: _Trained) -> str | None:
    try:
        arrived = pickle.loads(pickle.dumps(seen.method))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        return f"jobs cannot take it into processes of their own: {error}"
    return None if arrived == seen.method else f"arrives as {arrived!r}"


def _ascends(seen: _Trained) -> str | None:
    model = _rebuilt(seen)
    first, *others = seen.method.settings(model)
    if not others or (fewest := first.parameters(model)) <= (most := others[-1].parameters(model)):
        return None
    return f"settings() begins with {first.spec()}, {fewest:,} parameters, and ends with {most:,}"


LAWS: dict[str, Law] = {
    "a fresh attachment changes nothing": _starts_at_base,
    "only trainable tensors get gradients": _only_trainable,
    "training moves the model": _moves,
    "base plus update is the attached model": _update_is_model,
    "detach restores the base bit for bit": _detaches,
    "the path goes from the base to the model": _path_starts_at_base,
    "what is saved is what was trained": _saves,
    "the same seed makes the same update": _same_seed,
    "what is not in the update has not moved": _leaves_alone,
    "the parameter count is the one it states": _counts,
    "settings begin with the fewest parameters": _ascends,
    "it can be taken into another process": _travels,
}
"""Name of each law -> the law."""

UNMEASURABLE = frozenset(
    {
        "base plus update is the attached model",
        "the path goes from the base to the model",
        "the same seed makes the same update",
        "what is not in the update has not moved",
    }
)
"""Laws about updates: a method that does not act on weights says so by `NotMeasurable`, and breaks none of them."""


def _trained(method: Method, base: PreTrainedModel) -> _Trained:
    """Attach a method and train it for a few steps; the same model and method always train in the same way."""
    inputs = torch.randint(3, base.config.vocab_size, (4, 16), generator=torch.Generator().manual_seed(1))
    state = {name: tensor.detach().clone() for name, tensor in base.state_dict().items()}
    base_logits = _logits(base, inputs)
    with _seeded(2):
        attachment = method.attach(base)
        attachment.prepare(_material(method, base))
        seen = _Trained(method, base, state, inputs, base_logits, attachment, _logits(attachment.model, inputs))
        _train(seen)
    seen.live_logits = _logits(attachment.model, inputs)
    return seen


def _train(seen: _Trained) -> None:
    attachment = seen.attachment
    model = attachment.model
    tensors = attachment.trainable()
    others = {name: tensor for name, tensor in model.named_parameters() if name not in tensors}
    before = {name: tensor.detach().clone() for name, tensor in others.items()}
    optimizer = torch.optim.AdamW(tensors.values(), lr=3 * seen.method.learning_rate + 1e-3)
    attachment.before_training(optimizer, STEPS)
    model.train()
    for step in range(STEPS):
        attachment.before_forward(step, STEPS)
        take_gradient(attachment, lambda: model(input_ids=seen.inputs, labels=seen.inputs).loss.backward(), step)
        if (penalty := attachment.penalty()) is not None:
            torch.autograd.backward(penalty)
        attachment.after_backward(step, STEPS)
        optimizer.step()
        attachment.after_step(step, STEPS)
        if step == STEPS - 1:
            seen.idle_gradients = [name for name, tensor in others.items() if tensor.grad is not None]
        optimizer.zero_grad()
    attachment.facts()
    model.eval()
    seen.moved = [
        name.removeprefix("base_model.model.").replace(".base_layer.", ".")
        for name, tensor in others.items()
        if not torch.equal(tensor, before[name])
    ]


def _material(method: Method, base: PreTrainedModel) -> Material:
    """A few random batches of something to learn, and of something known where the method cannot do without."""
    target, source = ([_batch(base, seed + turn) for turn in range(2)] for seed in (11, 21))
    return Material({"target": target}, source if isinstance(method, Sourced) and method.needs_source else ())


def _batch(base: PreTrainedModel, seed: int) -> Batch:
    drawn = torch.Generator().manual_seed(seed)
    inputs = torch.randint(3, base.config.vocab_size, (2, 12), generator=drawn).to(base.device)
    labels = torch.cat([torch.full_like(inputs[:, :4], -100), inputs[:, 4:]], dim=1)  # the first tokens are a prompt
    return {"input_ids": inputs, "attention_mask": torch.ones_like(inputs), "labels": labels}


def _rebuilt(seen: _Trained) -> PreTrainedModel:
    """A fresh copy of the base as it was before the method touched it."""
    fresh = type(seen.base)(copy.deepcopy(seen.base.config)).eval()
    fresh.load_state_dict(seen.state)
    return fresh


@torch.inference_mode()
def _logits(model: nn.Module, inputs: Tensor) -> Tensor:
    training = model.training
    model.eval()
    logits: Tensor = model(input_ids=inputs).logits[:, -inputs.shape[1] :].float()
    model.train(training)
    return logits


def _distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
