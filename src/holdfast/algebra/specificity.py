"""How much of a tensor's change is a task's own: its mean cosine with the changes that other tasks make."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

import torch
from torch import Tensor

from holdfast.core.errors import NotMeasurable


def cosine(one: Tensor, other: Tensor) -> float:
    """The cosine of two tensors of one shape, as vectors, in float64.

    Raises:
        NotMeasurable: If one of them is zero: it has no direction. Calling that 0 would read as orthogonal.
    """
    left, right = one.reshape(-1).double(), other.reshape(-1).double()
    length = float(torch.linalg.vector_norm(left)) * float(torch.linalg.vector_norm(right))
    if not length > 0:
        raise NotMeasurable("the cosine of a change of zero is not defined: it has no direction")
    return max(-1.0, min(1.0, float(left @ right) / length))


def mean_cosine(own: Tensor, others: Mapping[str, Tensor]) -> float:
    """The mean cosine of a change with those of other tasks; tasks that did not move the tensor are left out.

    Raises:
        NotMeasurable: If there is no other task, or no two changes to be compared.
    """
    found = []
    for other in others.values():
        try:
            found.append(cosine(own, other))
        except NotMeasurable:
            continue  # a task that has not moved this tensor says nothing of directions
    if not found:
        raise NotMeasurable("no two tasks have moved this tensor: there are no directions to be compared")
    return fmean(found)


def specificity(deltas: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, float | None]]:
    """The mean cosine of every tensor's change with those of all other tasks, where all tasks are there at once.

    ``spec_k(W) = mean over j != k of cos(D_k(W), D_j(W))``, as in the public scripts of TRACE: the lower, the more it
    is the task's own. It is 1 where all tasks do the same, 0 where they are orthogonal, and -1 for two opposite ones.
    Absent where it is not defined, because the task or all others have left the tensor where it was.

    Args:
        deltas: For every task the change of every tensor, of any precision; products are in float64.

    Returns:
        For every task the mean cosine of every tensor.

    Raises:
        NotMeasurable: If there are fewer than two tasks, or tasks have changed other tensors.
    """
    if len(deltas) < 2:
        raise NotMeasurable(
            f"what is specific to a task shows beside others, and there are {len(deltas)} tasks; give two or more"
        )
    names = set(next(iter(deltas.values())))
    for task, changes in deltas.items():
        if odd := names ^ set(changes):
            raise NotMeasurable(f"task '{task}' has other tensors than the first one: '{sorted(odd)[0]}'")
    return {
        task: {name: _of(own, {other: deltas[other][name] for other in deltas if other != task})
               for name, own in changes.items()}
        for task, changes in deltas.items()
    }  # fmt: skip


def _of(own: Tensor, others: Mapping[str, Tensor]) -> float | None:
    try:
        return mean_cosine(own, others)
    except NotMeasurable:
        return None
