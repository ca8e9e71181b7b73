"""Second moments of inputs are sums of outer products over the tokens of text."""

from __future__ import annotations

import torch
from small import batch, bits, same_bits
from torch import nn
from transformers import PreTrainedModel

from holdfast.methods.subspaces.reading import second_moments


def test_they_are_sums_over_tokens_without_padding(model: PreTrainedModel) -> None:
    name = "model.layers.1.mlp.down_proj"
    found = second_moments(model, {name: model.get_submodule(name)}, [batch(1), batch(2)])
    read: list[torch.Tensor] = []
    handle = model.get_submodule(name).register_forward_pre_hook(lambda _, args: read.append(args[0][0].detach()))
    for one in (batch(1), batch(2)):
        for row, present in zip(one["input_ids"], one["attention_mask"].bool(), strict=True):
            with torch.no_grad():
                model(input_ids=row[present][None])
    handle.remove()
    tokens = torch.cat(read).double()
    wanted = sum((torch.outer(token, token) for token in tokens), start=torch.zeros(128, 128).double()) / len(tokens)
    torch.testing.assert_close(found[name], wanted, rtol=1e-4, atol=1e-7)


def test_it_leaves_no_trace(model: PreTrainedModel) -> None:
    before, state = bits(model), torch.get_rng_state()
    model.train()
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    second_moments(model, layers, [batch(1)])
    assert model.training and same_bits(bits(model), before) and torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert all(tensor.grad is None for tensor in model.parameters())


def test_what_is_read_by_nobody_is_left_out(model: PreTrainedModel) -> None:
    assert second_moments(model, {"idle": nn.Linear(2, 2)}, [batch(1)]) == {}
    assert second_moments(model, {"head": model.lm_head}, []) == {}
