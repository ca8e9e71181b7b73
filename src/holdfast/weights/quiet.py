"""Silence for the libraries underneath, where Holdfast itself says what matters."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
from peft.tuners.frod import model as frod
from transformers.utils import logging as transformers_logging

NEEDLESS = (
    # transformers warns of its own old name for activation checkpointing, which peft calls.
    ".*is_gradient_checkpointing.*",
    # Conversion on save sees to what this one asks for.
    "PiSSA changes the base weights.*",
    # peft tunes any layer it is told to, and says so for every norm.
    "Unsupported layer type .*Norm.*",
    # AdaLoRA's own record of ranks is kept under names that peft's check of patterns does not know.
    "The following rank_pattern keys did not match.*lora_E.*",
    # A layer that AdaLoRA left no rank is taken for one whose tensors were not gathered.
    ".*LoRA tensor.s. have invalid shape: .*",
    # Whether an adapter is complete is checked when it is loaded.
    ".*Found missing adapter keys.*",
    # What follows from a missing CUDA extension is checked when the method is attached.
    "Failed to load the CUDA extension.*",
    "Setting boft_n_butterfly_factor to 1.*",
    # FRoD and SHiRA build their sparse matrices anew in every forward pass, from indices of their own.
    "Sparse invariant checks are implicitly disabled.*",
)


@contextmanager
def quiet() -> Iterator[None]:
    """Without progress bars, advice, and warnings that are known and seen to; all other warnings are heard."""
    verbosity, bars = transformers_logging.get_verbosity(), datasets.utils.is_progress_bar_enabled()
    model_bars, frod_bar = transformers_logging.is_progress_bar_enabled(), frod.tqdm
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
    frod.tqdm = lambda layers, **told: frod_bar(layers, **{**told, "disable": True})
    try:
        with warnings.catch_warnings():
            for message in NEEDLESS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        frod.tqdm = frod_bar
        transformers_logging.set_verbosity(verbosity)
        if model_bars:
            transformers_logging.enable_progress_bar()
        if bars:
            datasets.enable_progress_bars()
