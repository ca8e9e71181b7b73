"""Every rival trains task after task: a stage begins with the folded weights of the one before, and learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from chains import TASKS, begun, chain, ended, optimizer_of, stepped, weights
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from holdfast.core.errors import BadData
from holdfast.core.task import Example
from holdfast.methods.epi import Epi
from holdfast.methods.ewc import Ewc
from holdfast.methods.lora import Lora
from holdfast.methods.on_top import method_named
from holdfast.methods.replay import Replay
from holdfast.testing.laws import small_model
from holdfast.weights.contracts import Attachment, Following, Method

RIVALS = [
    "full",
    "lora(r=4)",
    "peft:osf",
    "lota(calibration_steps=1)",
    "hft",
    "epi(ratio=0.05, first_refresh=1, interval=1)",
    "migu",
    "gmt",
    "o_lora(r=4)",
    "inf_lora(r=4)",
    "ewc",
    "mas",
    "si",
    "l2_sp",
    "dpi(ratio=0.05)",
    "cpi_ft(ratio=0.05, probe_steps=2, probe_learning_rate=1e-3)",
    "epi(ratio=0.05, first_refresh=1, interval=1, on='o_lora(r=4)')",
]


@pytest.mark.parametrize("spec", RIVALS)
def test_it_trains_on_what_the_task_before_left(spec: str) -> None:
    method = method_named(spec)
    base, past = chain(method, ["one"])
    between = weights(base)
    attachment = begun(method, base, "two", past, seed=1)
    now = {name: tensor.detach().clone() for name, tensor in attachment.initial().items() if name in between}
    assert all(torch.equal(tensor, between[name]) for name, tensor in now.items())
    losses: list[float] = []
    optimizer = optimizer_of(attachment, rate=3e-3)
    with torch.no_grad():
        losses.append(float(attachment.model(**TASKS["two"][0]).loss))
    stepped(attachment, optimizer, "two")
    with torch.no_grad():
        losses.append(float(attachment.model(**TASKS["two"][0]).loss))
    assert losses[1] < losses[0]
    after, stage = ended(attachment, "two")
    moved = {name for name, tensor in weights(after).items() if not torch.equal(tensor, between[name])}
    assert moved and moved == {name for name, change in stage.update().items() if change.norm() > 0}


@pytest.mark.parametrize("spec", [spec for spec in RIVALS if spec not in ("full", "lora(r=4)", "peft:osf")])
def test_what_it_leaves_goes_through_a_file(spec: str, tmp_path: Path) -> None:
    method = method_named(spec)
    attachment = begun(method, small_model(), "one", [])
    if not isinstance(attachment, Following):
        pytest.skip(f"{spec} leaves nothing")
    stepped(attachment, optimizer_of(attachment), "one")
    left = dict(attachment.keepsake())
    save_file(left, tmp_path / "left.safetensors")
    again = load_file(tmp_path / "left.safetensors")
    assert again.keys() == left.keys() and all(torch.equal(again[name], tensor) for name, tensor in left.items())


@pytest.mark.parametrize("outer", [Epi(ratio=0.05, on="ewc"), Epi(ratio=0.05, on="l2_sp(on='ewc')"), Ewc(on="l2_sp")])
def test_what_is_on_top_hands_on_what_is_left_below(model: PreTrainedModel, outer: Method) -> None:
    base, past = chain(outer, ["one"], model=model)
    _, alone_past = chain(Ewc(), ["one"])
    (left,) = [
        tensor for name, tensor in past[0].keepsake().items() if name.endswith("norm.weight") and "layers" not in name
    ]
    assert left.shape == (64,) and len(past[0].keepsake()) == len(alone_past[0].keepsake())
    attachment: Attachment = begun(outer, base, "two", past)
    assert attachment.penalty() is not None
    with torch.no_grad():
        for tensor in attachment.trainable().values():
            tensor += 0.1
    penalty: Any = attachment.penalty()
    assert penalty.item() > 0


def test_what_leaves_nothing_is_not_asked() -> None:
    assert not isinstance(Lora().attach(small_model()), Following)
    assert begun(Epi(ratio=0.05), small_model(), "one", []).keepsake() == {}


def test_replay_without_source_explains_itself() -> None:
    with pytest.raises(BadData, match=r"^replay mixes in examples .* and there are none: give source"):
        Replay().mixed([Example(str(at), "a", "b") for at in range(10)], [], 0)


def test_kl_begins_like_its_inner_method_where_nothing_is_known_and_then_pulls_to_where_a_stage_began() -> None:
    first = begun(method_named("kl"), small_model(), "one", [])
    first.before_forward(0, 1)
    assert first.penalty() is None and not first.facts()
    base, past = chain(method_named("kl"), ["one"])
    plain, _ = chain(method_named("full"), ["one"])
    assert all(torch.equal(tensor, weights(plain)[name]) for name, tensor in weights(base).items())
    second = begun(method_named("kl"), base, "two", past, TASKS["one"])
    second.before_forward(0, 1)
    assert abs(second.penalty().item()) < 1e-6
    on_target = begun(method_named("kl(on_target=True)"), small_model(), "one", [])
    on_target.before_forward(0, 1)
    assert on_target.penalty() is not None  # the task's own prompts are there from the beginning
    with pytest.raises(BadData, match="kl draws on examples of what the model already knows"):
        begun(method_named("kl"), small_model(), "two", past)
