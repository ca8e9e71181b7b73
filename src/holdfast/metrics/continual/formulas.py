"""Every number of a sequence under a name that says which of the definitions in use it is.

R[t, i] is the score on task i after stage t, stage 0 the untouched base; I_i what task i reaches outside the sequence.
Three quantities in use are all called forgetting and two backward transfer. None goes here without its surname.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from holdfast.metrics.continual.metric import Metric
from holdfast.metrics.continual.view import PerTask, View


def _means_so_far(view: View) -> PerTask:
    stage, task = np.arange(1, view.tasks + 1)[:, np.newaxis], np.arange(1, view.tasks + 1)
    # What is not seen yet may be missing, and 0 times missing is missing.
    trained = np.where(stage >= task, view.scores[..., 1:, :], 0.0)
    means: PerTask = trained.sum(axis=-1) / stage[:, 0]
    return means


def _gain(view: View) -> PerTask:
    gain: PerTask = view.final - view.base
    return gain


def _headroom(view: View) -> PerTask:
    headroom: PerTask = view.ceiling - view.base
    return headroom


def _mean_headroom(view: View) -> PerTask:
    mean: PerTask = _headroom(view).mean(axis=-1, keepdims=True)
    return mean


final_accuracy: Final = Metric(
    name="final_accuracy",
    definition="mean of all tasks at the end (ACC, overall performance)",
    formula="1/T sum_i R[T,i]",
    needs=("final",),
    counted="all",
    terms=lambda view: view.final,
)
anytime_accuracy: Final = Metric(
    name="anytime_accuracy",
    definition="mean over the stages of the mean of the tasks trained by then (AAA)",
    formula="1/T sum_t 1/t sum_{i<=t} R[t,i]",
    needs=("seen",),
    counted="all",
    terms=_means_so_far,
)
learning_accuracy: Final = Metric(
    name="learning_accuracy",
    definition="mean of each task just after it was trained (plasticity)",
    formula="1/T sum_i R[i,i]",
    needs=("learnt",),
    counted="all",
    terms=lambda view: view.learnt,
)
backward_transfer_gem: Final = Metric(
    name="backward_transfer_gem",
    definition="at the end minus just trained, mean of the earlier T-1 tasks (GEM, Mammoth)",
    formula="1/(T-1) sum_{i<T} (R[T,i] - R[i,i])",
    needs=("final", "learnt"),
    counted="earlier",
    terms=lambda view: view.final - view.learnt,
)
backward_transfer_trace_benchmark: Final = Metric(
    name="backward_transfer_trace_benchmark",
    definition="the same sum divided by T, the last task counting as 0 (TRACE benchmark)",
    formula="1/T sum_{i<T} (R[T,i] - R[i,i])",
    needs=("final", "learnt"),
    counted="earlier",
    terms=lambda view: (view.final - view.learnt) * (view.tasks - 1) / view.tasks,
)
forgetting_chaudhry: Final = Metric(
    name="forgetting_chaudhry",
    definition="best score before the last stage minus the end, mean of earlier tasks; may be negative",
    formula="1/(T-1) sum_{i<T} (max_{i<=t<T} R[t,i] - R[T,i])",
    needs=("seen",),
    counted="earlier",
    terms=lambda view: view.best(view.tasks - 1) - view.final,
)
# Mammoth writes 0 where a task was not trained yet. No score lies below 0, so that those zeros never are the largest.
forgetting_mammoth: Final = Metric(
    name="forgetting_mammoth",
    definition="best score of all stages, the last among them, minus the end; never negative",
    formula="1/(T-1) sum_{i<T} (max(0, max_{i<=t<=T} R[t,i]) - R[T,i])",
    needs=("seen",),
    counted="earlier",
    terms=lambda view: view.best(view.tasks) - view.final,
)
forgetting_avalanche: Final = Metric(
    name="forgetting_avalanche",
    definition="just trained minus the end, mean of earlier tasks: minus backward_transfer_gem",
    formula="1/(T-1) sum_{i<T} (R[i,i] - R[T,i])",
    needs=("final", "learnt"),
    counted="earlier",
    terms=lambda view: view.learnt - view.final,
)
forward_transfer_zero_shot: Final = Metric(
    name="forward_transfer_zero_shot",
    definition="just before training minus the untouched base, mean of later tasks; GEM's baseline is a random network",
    formula="1/(T-1) sum_{i>1} (R[i-1,i] - R[0,i])",
    needs=("before", "base"),
    counted="later",
    terms=lambda view: view.before - view.base,
)
relative_retention: Final = Metric(
    name="relative_retention",
    definition="share of the score just after training that is there at the end, mean over tasks",
    formula="1/T sum_i R[T,i] / R[i,i]",
    needs=("final", "learnt"),
    counted="all",
    terms=lambda view: view.final / view.learnt,
    over=lambda view: view.learnt,
    over_spoken="the score just after training",
)
intransigence: Final = Metric(
    name="intransigence",
    definition="outside the sequence minus just trained in it, mean over tasks",
    formula="1/T sum_i (I_i - R[i,i])",
    needs=("learnt",),
    counted="all",
    terms=lambda view: view.ceiling - view.learnt,
    needs_ceiling=True,
)
normalised_score_mean_of_ratios: Final = Metric(
    name="normalised_score_mean_of_ratios",
    definition="gain on the base at the end over the gain outside the sequence, mean of these shares",
    formula="1/T sum_i (R[T,i] - R[0,i]) / (I_i - R[0,i])",
    needs=("final", "base"),
    counted="all",
    terms=lambda view: _gain(view) / _headroom(view),
    over=_headroom,
    over_spoken="the gain on the base outside the sequence",
    needs_ceiling=True,
)
normalised_score_ratio_of_means: Final = Metric(
    name="normalised_score_ratio_of_means",
    definition="mean gain on the base at the end over the mean gain outside the sequence",
    formula="sum_i (R[T,i] - R[0,i]) / sum_i (I_i - R[0,i])",
    needs=("final", "base"),
    counted="all",
    terms=lambda view: _gain(view).mean(axis=-1, keepdims=True) / _mean_headroom(view),
    over=_mean_headroom,
    over_spoken="the mean gain on the base outside the sequence",
    needs_ceiling=True,
)

METRICS: Final = (
    final_accuracy,
    anytime_accuracy,
    learning_accuracy,
    backward_transfer_gem,
    backward_transfer_trace_benchmark,
    forgetting_chaudhry,
    forgetting_mammoth,
    forgetting_avalanche,
    forward_transfer_zero_shot,
    relative_retention,
    intransigence,
    normalised_score_mean_of_ratios,
    normalised_score_ratio_of_means,
)
"""All of them, in the order in which tables print them."""
