"""Small models, and methods on them that have moved without being trained."""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.core import registry
from holdfast.methods.lora import Lora
from holdfast.methods.oft import Oft
from holdfast.methods.peft_tuner import PeftTuner
from holdfast.weights.contracts import Attachment, Method


def tuner(name: str, **options: object) -> PeftTuner:
    return PeftTuner(tuner=name, options=MappingProxyType(options))


METHODS: dict[str, Method] = {
    **{name: registry.lookup("methods", name)() for name in registry.names("methods") if name != "peft"},
    "oft(exact=False)": Oft(exact=False),
    "lora(use_rslora=True)": Lora(use_rslora=True),
    "peft:loha": tuner("loha"),
    "peft:lokr": tuner("lokr"),
    "peft:osf": tuner("osf"),
    "peft:randlora": tuner("randlora", r=8),
}
"""Every installed method and a few tuners of peft, by spec."""

ADAPTERS = {name: method for name, method in METHODS.items() if hasattr(method, "config")}
"""Those of them that are saved as adapters."""


def moved(method: Method, model: PreTrainedModel, by: float = 0.05) -> Attachment:
    """A method on a model, its trainable tensors moved at random from where they started."""
    with torch.random.fork_rng():
        torch.manual_seed(6)
        attachment = method.attach(model)
        with torch.no_grad():
            for tensor in attachment.trainable().values():
                tensor.add_(by * torch.randn_like(tensor))
    attachment.model.eval()
    return attachment


Bits = dict[str, tuple[torch.dtype, bool, Tensor]]


def bits(model: nn.Module) -> Bits:
    """All there is to know of a model's weights: their names in order, types, flags and bits."""
    return {
        name: (tensor.dtype, tensor.requires_grad, tensor.detach().clone().contiguous().flatten().view(torch.uint8))
        for name, tensor in model.named_parameters()
    }


def same_bits(one: Bits, other: Bits) -> bool:
    return list(one) == list(other) and all(
        one[name][:2] == other[name][:2] and torch.equal(one[name][2], other[name][2]) for name in one
    )


def batch(seed: int, rows: int = 3, width: int = 9, prompt: int = 3) -> dict[str, Tensor]:
    """A batch of random tokens with a prompt, padded on the right: each row is one token shorter than the last."""
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randint(3, 128, (rows, width), generator=draw)
    present = torch.arange(width) < (width - torch.arange(rows))[:, None]
    labels = inputs.masked_fill(~present, -100)
    labels[:, :prompt] = -100
    return {"input_ids": inputs.masked_fill(~present, 0), "attention_mask": present.long(), "labels": labels}
