"""LoRA-FA trains B on an A that stays as it was drawn."""

from __future__ import annotations

import pytest
import torch
from chains import begun, optimizer_of, stepped
from torch import Tensor

from holdfast.methods.adapter import AdapterAttachment
from holdfast.methods.lora import Lora
from holdfast.methods.lora_fa import LoraFa
from holdfast.testing.laws import small_model
from holdfast.weights.adapter_rays import displacement_of_b


def factors(attachment: AdapterAttachment, letter: str) -> dict[str, Tensor]:
    found = attachment.model.state_dict()
    return {name: tensor.clone() for name, tensor in found.items() if f".lora_{letter}." in name}


def test_b_is_trained_and_a_is_not() -> None:
    attachment = begun(LoraFa(r=3), small_model(), "one", [])
    optimizer = optimizer_of(attachment)
    before, begins = factors(attachment, "A"), factors(attachment, "B")
    stepped(attachment, optimizer, "one", 3)
    after = factors(attachment, "B")
    assert all(torch.equal(tensor, before[name]) for name, tensor in factors(attachment, "A").items())
    assert all(not begins[name].any() and after[name].any() for name in after)
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == {
        id(p) for name, p in attachment.model.named_parameters() if ".lora_B." in name
    }


def test_it_trains_the_outputs_of_a_lora_and_begins_where_it_does() -> None:
    model = small_model()
    lora, frozen = Lora(r=3), LoraFa(r=3)
    torch.manual_seed(7)
    drawn = factors(lora.attach(small_model()), "A")
    torch.manual_seed(7)
    attachment = frozen.attach(model)
    assert all(torch.equal(tensor, drawn[name]) for name, tensor in factors(attachment, "A").items())
    trained = sum(tensor.numel() for tensor in factors(attachment, "B").values())
    assert frozen.parameters(small_model()) == trained < lora.parameters(small_model())


def test_what_it_learned_lies_in_the_space_that_a_certificate_speaks_of() -> None:
    attachment = begun(LoraFa(r=3), small_model(), "one", [])
    stepped(attachment, optimizer_of(attachment), "one", 3)
    length = sum(float(tensor.double().square().sum()) for tensor in factors(attachment, "B").values()) ** 0.5
    assert displacement_of_b(attachment.update(), attachment.model) == pytest.approx(length, rel=1e-4)
