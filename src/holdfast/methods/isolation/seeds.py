"""Random choices that depend on a seed and on the step, and on nothing that was drawn before."""

from __future__ import annotations

import hashlib

import torch


def seed_at(seed: int, step: int) -> int:
    """A seed for what is drawn after a step: with others, of other steps or seeds, it has nothing in common."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {step}".encode(), digest_size=7).digest(), "big")


def seed_or_own(asked: int | None) -> int:
    """The seed that was asked for; that of the training where none was, which a resumed run has to set again."""
    return torch.initial_seed() if asked is None else asked
