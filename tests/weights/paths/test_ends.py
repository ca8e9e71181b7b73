"""A path that does not begin at the base is refused."""

from __future__ import annotations

from typing import Any

import pytest
from small import bits, same_bits
from transformers import PreTrainedModel

from holdfast.core.errors import NotMeasurable
from holdfast.methods.lora import Lora
from holdfast.weights.paths.adapter import AdapterPath, stored_tensors
from holdfast.weights.paths.ends import require_base_at_start


def test_a_path_that_begins_elsewhere_is_refused_with_the_distance(saved: Any, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora(r=2))
    tensors, before = stored_tensors(folder), bits(model)
    nothing = {name: 0 * tensor for name, tensor in tensors.items()}
    require_base_at_start(AdapterPath(folder, model, "sound", lambda t: tensors if t else nothing), model, "LORA")
    with pytest.raises(NotMeasurable) as caught:
        require_base_at_start(AdapterPath(folder, model, "odd", lambda t: tensors), model, "LORA")
    said = "the path 'odd' does not start at the base: a fresh lora adapter already changes what the model says, logits"
    assert str(caught.value).startswith(f"{said} by ")
    assert str(caught.value).endswith(" of the largest; another path may be there")
    assert same_bits(bits(model), before)
