"""Where in a model a module stands, as its name tells."""

from __future__ import annotations

import re

_BLOCK = re.compile(r"^(?:.*?\.)?(\d+)\.(.+)$")


def block_of(name: str) -> tuple[int, str] | None:
    """The number of the block that a module or weight lies in, and its name there; nothing outside of blocks."""
    match = _BLOCK.match(name)
    return (int(match[1]), match[2]) if match else None
