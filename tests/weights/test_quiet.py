"""Only what is seen to is silenced, and only for a while."""

from __future__ import annotations

import warnings

import datasets
import pytest
from peft.tuners.frod import model as frod
from small import tuner
from transformers.utils import logging

from holdfast.testing.laws import small_model
from holdfast.weights.quiet import quiet


def states() -> tuple[int, bool, bool]:
    return logging.get_verbosity(), logging.is_progress_bar_enabled(), datasets.utils.is_progress_bar_enabled()


def test_a_tuner_that_draws_a_bar_of_its_own_draws_none(capfd: pytest.CaptureFixture[str]) -> None:
    bar = frod.tqdm
    tuner("frod").attach(small_model())
    assert capfd.readouterr().err == "" and frod.tqdm is bar


@pytest.mark.parametrize("bars", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_everything_is_as_loud_afterwards_as_before(bars: bool, fails: bool) -> None:
    outside = states()
    try:
        (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
        (datasets.enable_progress_bars if bars else datasets.disable_progress_bars)()
        before = states()
        try:
            with quiet():
                assert states() == (logging.ERROR, False, False)
                if fails:
                    raise RuntimeError
        except RuntimeError:
            assert fails
        assert states() == before
    finally:
        (logging.enable_progress_bar if outside[1] else logging.disable_progress_bar)()
        (datasets.enable_progress_bars if outside[2] else datasets.disable_progress_bars)()


def test_known_warnings_are_not_heard_and_others_are() -> None:
    with quiet():
        warnings.warn("`is_gradient_checkpointing` is deprecated", FutureWarning, stacklevel=1)
        warnings.warn("Sparse invariant checks are implicitly disabled. Memory errors", UserWarning, stacklevel=1)
    with quiet(), pytest.warns(UserWarning, match="something new"):
        warnings.warn("something new", UserWarning, stacklevel=1)
