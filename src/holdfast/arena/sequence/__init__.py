"""Sequences of trainings: one model learns task after task, and is asked about all of them after each."""
