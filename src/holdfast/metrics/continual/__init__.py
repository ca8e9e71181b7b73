"""Continual-learning numbers with their definition in the name, from a matrix of scores: no model and no trainer."""

from holdfast.metrics.continual.abilities import Abilities as Abilities
from holdfast.metrics.continual.intervals import continual_intervals as continual_intervals
from holdfast.metrics.continual.matrix import Ceiling as Ceiling
from holdfast.metrics.continual.matrix import ScoreMatrix as ScoreMatrix
from holdfast.metrics.continual.records import continual_metrics as continual_metrics
from holdfast.metrics.continual.runs import SequenceRun as SequenceRun
