"""Names that depend on content alone: equal content, equal key, on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def canonical(content: Mapping[str, object]) -> str:
    """JSON with sorted keys and no spare white space; refuses NaN and infinities."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def key_of(content: Mapping[str, object]) -> str:
    """A key of 16 hexadecimal digits for JSON-like content."""
    return hashlib.blake2b(canonical(content).encode(), digest_size=8).hexdigest()
