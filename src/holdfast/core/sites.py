"""Where in a model a name lies: the number of its block, and its name there."""

from __future__ import annotations

import re

_BLOCK = re.compile(r"^(?:.*?\.)?(\d+)\.(.+)$")


def block_of(name: str) -> tuple[int | None, str]:
    """The number of the block that a module or weight lies in, and its name there.

    The first number in the name is that of the block; embeddings and heads have none, and keep their whole name.
    """
    match = _BLOCK.match(name)
    return (int(match[1]), match[2]) if match else (None, name)
