"""What all rivals promise on adapters too."""

from __future__ import annotations

import pytest

from holdfast.methods.gmt import Gmt
from holdfast.methods.hft import Hft
from holdfast.methods.isolation.method import Isolating
from holdfast.methods.lift import Lift
from holdfast.methods.lota import Lota
from holdfast.methods.mofo import Mofo
from holdfast.methods.random_mask import RandomMask
from holdfast.testing.laws import broken_laws


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RandomMask, Hft, Gmt, Mofo, Lift, Lota])
def test_they_keep_the_laws_on_an_adapter_too(kind: type[Isolating]) -> None:
    assert broken_laws(kind(on="lora(r=4)")) == []
