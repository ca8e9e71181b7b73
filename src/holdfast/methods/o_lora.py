"""O-LoRA: LoRA whose directions are pushed to be orthogonal to those of all earlier tasks of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from peft import PeftConfig
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.core.errors import HoldfastError
from holdfast.core.record import Record
from holdfast.methods.adapter import AdapterAttachment
from holdfast.methods.lora import Lora
from holdfast.weights.past import PastStage

LORA_A = ".lora_A."


@dataclass(frozen=True)
class OLora(Lora):
    """LoRA with the penalty ``strength * sum |A_old A^T|`` over all layers and all earlier tasks.

    Published by Wang et al., arXiv 2310.14152. The paper squares the entries of ``A_old A^T``; its public code, which
    is followed here, adds up their absolute values, and a second strength for the norm of the new factors is 0 there
    for the first order of tasks. Entries are summed and not averaged, so that a strength means more in a larger model
    and after more tasks.

    Ours: adapters of earlier tasks are folded into the weights that a task begins with, where the paper keeps them
    frozen beside it; what the model answers is the same up to rounding, and only their ``A`` is handed on. The penalty
    acts once an optimizer step and after clipping; published, it is part of every micro-batch's loss. With one task it
    is plain LoRA, bit for bit. Memory: every earlier ``A``. Time: a product of two small matrices a layer and step.

    Attributes:
        strength: Strength of the penalty; 0 is plain LoRA.
    """

    name: ClassVar[str] = "o_lora"
    may_be_0: ClassVar[tuple[str, ...]] = (*Lora.may_be_0, "strength")

    strength: float = 0.5

    def attach(self, model: nn.Module) -> OLoraAttachment:
        assert isinstance(model, PreTrainedModel), "models are opened by transformers"
        return OLoraAttachment(model, self.config(model), self.strength)


class OLoraAttachment(AdapterAttachment):
    """A LoRA adapter that is told the directions of earlier ones, and hands on its own."""

    def __init__(self, model: PreTrainedModel, config: PeftConfig, strength: float) -> None:
        super().__init__(model, config)
        self._strength = strength
        self._old: dict[str, Tensor] = {}

    def follow(self, past: Sequence[PastStage]) -> None:
        """Take up the directions of earlier tasks.

        Raises:
            HoldfastError: If an earlier task left none for one of the layers.
        """
        left = [(stage.task, stage.keepsake()) for stage in past]
        for name, own in self._directions().items():
            for task, old in left:
                if name not in old or old[name].shape[1] != own.shape[1]:
                    raise HoldfastError(
                        f"o_lora keeps '{name}' off the directions of earlier tasks, and task '{task}' left none of "
                        f"{own.shape[1]} inputs for it: train all tasks of a sequence on one model"
                    )
            if left:
                self._old[name] = torch.cat([old[name].to(own.device).float() for _, old in left])

    def keepsake(self) -> Mapping[str, Tensor]:
        """The directions of this task."""
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in self._directions().items()}

    def penalty(self) -> Tensor | None:
        if not self._old or not self._strength:
            return None
        own = self._directions()
        return (
            self._strength
            * torch.stack([(old @ own[name].float().T).abs().sum() for name, old in self._old.items()]).sum()
        )

    def facts(self) -> Sequence[Record]:
        """How strong the penalty is in the end, and how far from orthogonal the directions are."""
        with torch.no_grad():
            penalty = self.penalty()
            if penalty is None:
                return ()
            own = self._directions()
            cosines = [(_unit(old) @ _unit(own[name].float()).T).abs().flatten() for name, old in self._old.items()]
        return (
            Record(subject="run", quantity="pull_at_end", site="o_lora", value=float(penalty), unit="nats"),
            Record(subject="run", quantity="direction_overlap_at_end", value=float(torch.cat(cosines).mean())),
        )

    def _directions(self) -> dict[str, nn.Parameter]:
        """The factor of every layer that reads inputs."""
        return {name: tensor for name, tensor in self.trainable().items() if LORA_A in name}


def _unit(rows: Tensor) -> Tensor:
    return nn.functional.normalize(rows, dim=1)
