"""A model is without dropout for the length of a block, and every module as it was after it."""

from __future__ import annotations

import pytest
from torch import nn

from holdfast.weights.evaluating import evaluating


def test_every_module_gets_its_own_mode_back_also_after_an_error() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Dropout()))
    model.train()
    model[1][0].training = False
    before = [module.training for module in model.modules()]
    with pytest.raises(KeyError), evaluating(model):
        assert not any(module.training for module in model.modules())
        raise KeyError
    assert [module.training for module in model.modules()] == before
