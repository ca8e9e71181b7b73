"""What a method may look at before training: batches of what is to be learned, and of what is to be kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from holdfast.core.errors import BadData

Batch = Mapping[str, Tensor]
"""What a model is called with: ``input_ids``, ``attention_mask``, and ``labels`` that are -100 where nothing counts."""


@dataclass(frozen=True)
class Material:
    """Batches of text, each stream the same and in the same order whenever it is read.

    Attributes:
        target: Batches of every task that is to be learned, by its name; training examples only.
        source: Batches that stand for what the model already knows; empty where nobody has given any.
    """

    target: Mapping[str, Iterable[Batch]] = field(default_factory=dict)
    source: Iterable[Batch] = ()

    def known(self, who: str) -> Iterable[Batch]:
        """The batches of what the model already knows.

        Args:
            who: The method that asks, for the message.

        Raises:
            BadData: If there are none.
        """
        if next(iter(self.source), None) is None:
            raise BadData(
                f"{who} draws on examples of what the model already knows, and there are none: give source, "
                "a suite, task or file, in the recipe, or Material(source=...) in Python"
            )
        return self.source
