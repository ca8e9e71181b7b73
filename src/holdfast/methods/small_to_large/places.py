"""Where tensors lie: their type, which layers of a model share, and how deep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.core.errors import NotMeasurable
from holdfast.core.sites import block_of


@dataclass(frozen=True)
class Place:
    """Where a tensor lies.

    Attributes:
        kind: Its name with ``*`` for the number of the layer; the whole name outside of layers.
        layer: The number of the layer; absent outside of layers.
    """

    kind: str
    layer: int | None

    @property
    def stack(self) -> str:
        """What the names of all tensors in the same row of layers begin with."""
        return self.kind.partition("*")[0]


def place_of(name: str) -> Place:
    """Where the tensor of a name lies."""
    layer, inside = block_of(name)
    if layer is None:
        return Place(name, None)
    return Place(f"{name[: -len(inside) - 1].rpartition('.')[0]}.*.{inside}".removeprefix("."), layer)


def layers_of(names: Iterable[str]) -> dict[str, int]:
    """How many layers each row of layers has, going by the highest number in it."""
    found: dict[str, int] = {}
    for place in map(place_of, names):
        if place.layer is not None:
            found[place.stack] = max(found.get(place.stack, 0), place.layer + 1)
    return found


def relative_depth(place: Place, layers: int, whose: str) -> float:
    """How deep a tensor lies: 0 in the first layer, 1 in the last.

    Args:
        place: Where it lies, in a layer.
        layers: How many layers there are.
        whose: The model, for the message.

    Raises:
        NotMeasurable: If there is a single layer, which is first and last at once.
    """
    if layers < 2:
        raise NotMeasurable(
            f"{whose} has a single layer ('{place.stack}'), which is as much its first as its last: relative depth, "
            "by which scores are carried from model to model, needs two"
        )
    assert place.layer is not None, "tensors outside of layers have no depth"
    return place.layer / (layers - 1)
