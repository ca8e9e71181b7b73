"""A method on top of another one hands on what it does not see to itself, and refuses what does not go together."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from small import bits, same_bits
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.core.errors import RecipeError, UnknownName
from holdfast.methods.adalora import AdaLora
from holdfast.methods.adapter import AdapterAttachment
from holdfast.methods.ewc import Ewc
from holdfast.methods.kl import Kl
from holdfast.methods.l2_sp import L2Sp
from holdfast.methods.lora import Lora
from holdfast.methods.oft import Oft
from holdfast.methods.on_top import OnTop, OnTopAttachment, method_named
from holdfast.methods.pissa import Pissa
from holdfast.methods.replay import Replay
from holdfast.testing.laws import broken_laws
from holdfast.weights.contracts import Method, Mixing, Patterned, Sourced


@dataclass(frozen=True)
class Idle(OnTop):
    """Nothing on top."""

    name: ClassVar[str] = "idle"

    turns: int = 3
    strength: float = 1.0

    def attach(self, model: nn.Module) -> OnTopAttachment:
        return OnTopAttachment(self.inner.attach(model))


@pytest.mark.parametrize(
    ("spec", "method"),
    [
        ("oft(block_size=16)", Oft(block_size=16)),
        ("ewc(strength=2.0, on='lora(r=4)')", Ewc(strength=2.0, on="lora(r=4)")),
        ("l2_sp", L2Sp()),
    ],
)
def test_a_spec_names_a_method(spec: str, method: Method) -> None:
    assert method_named(spec) == method
    assert method_named(method.spec()) == method


def test_tuners_of_peft_are_named_too() -> None:
    assert method_named("peft:loha(r=4)").spec() == "peft:loha(r=4)"
    assert method_named("kl(on='peft:loha(r=4)')").spec() == "kl(on='peft:loha(r=4)')"


def test_a_method_that_is_not_there_is_told_with_the_nearest_that_is() -> None:
    with pytest.raises(UnknownName, match="did you mean 'lora'"):
        method_named("lorra")


@pytest.mark.parametrize(
    ("spec", "faults"),
    [
        ("oft(size=3)", ("oft: unknown option 'size': did you mean 'block_size'?",)),
        ("ewc(on='lorra')", ("ewc: on: unknown method 'lorra': did you mean 'lora'?",)),
        ("ewc(on='hra(r=3)')", ("ewc: on: hra: r=3 is odd and would not start at the base; use an even number",)),
        ("ewc(on='lora(')", ("ewc: on: 'lora(' is not a name with options; write for example oft(block_size=16)",)),
        ("ewc(on=3)", ("ewc: on=3 is no method; give one in quotes, such as on='lora(r=8)'",)),
        ("ewc(strength=-1)", ("ewc: strength=-1 must be at least 0",)),
        ("ewc(batches=0)", ("ewc: batches=0 must be above 0",)),
        ("ewc(batches=2.5)", ("ewc: batches=2.5 must be a whole number",)),
        ("ewc(batches=True)", ("ewc: batches=True must be a whole number",)),
        ("l2_sp(strength='much')", ("l2_sp: strength='much' must be a number",)),
        ("l2_sp(strength=1e999)", ("l2_sp: strength=inf must be a number",)),
        ("kl(reverse=1)", ("kl: reverse=1 must be True or False",)),
        ("ewc(fisher='row')", ("ewc: fisher='row' must be one of sequence, batch",)),
        ("replay(share=1.0)", ("replay: share=1.0 must be below 1",)),
        (
            "l2_sp(strength=-1, on='lora(r=0)')",
            ("l2_sp: strength=-1 must be at least 0", "l2_sp: on: lora: r=0 must be above 0"),
        ),
    ],
)
def test_faults_of_both_methods_are_told_at_once(spec: str, faults: tuple[str, ...]) -> None:
    with pytest.raises(RecipeError) as caught:
        method_named(spec)
    assert caught.value.faults == faults


@dataclass(frozen=True)
class Last(Idle):
    """A method that hides under nothing."""

    name: ClassVar[str] = "last"
    outermost: ClassVar[bool] = True


def test_nothing_goes_on_top_of_what_must_be_outermost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Idle, "inner", Last())
    assert Idle().faults() == ("idle: nothing goes on top of last; put it outermost, as in last(on='idle')",)


def test_it_is_a_method_and_draws_and_mixes_only_if_something_does() -> None:
    for method in (Idle(), L2Sp(), Ewc(), Kl(), Replay()):
        assert isinstance(method, Method) and isinstance(method, Sourced) and isinstance(method, Mixing)
    assert [m.needs_source for m in (Idle(), L2Sp(), Ewc(), Ewc(strength=0.0))] == [False, False, True, False]
    assert L2Sp(on="ewc").needs_source and Replay(share=0.0, on="kl").needs_source
    assert not Kl(on_target=True).needs_source
    assert L2Sp().mixed(["a", "b"], ["c"], 0) == ["a", "b"]  # type: ignore[list-item]
    assert len(L2Sp(on="replay(share=0.5)").mixed(["a", "b"], ["c"], 0)) == 4  # type: ignore[list-item]


@pytest.mark.parametrize("inner", [Lora(r=4), Pissa(r=4), Oft(), AdaLora()], ids=lambda method: method.name)
def test_what_is_said_of_the_inner_method_is_true_of_the_outer_one(model: PreTrainedModel, inner: Any) -> None:
    outer = Idle(on=inner.spec())
    for name in ("learning_rate", "knob", "moves_base", "served_as"):
        assert getattr(outer, name) == getattr(inner, name), name
    assert outer.parameters(model) == inner.parameters(model)
    assert [method.inner for method in outer.settings(model)] == list(inner.settings(model))
    assert outer.with_knob(2) == Idle(on=inner.with_knob(2).spec())
    assert outer.kinds(model) == (inner.kinds(model) if isinstance(inner, Patterned) else ())


def test_single_kinds_of_layers_may_have_another_rank() -> None:
    method = Idle(on="lora(r=4)", turns=5).with_one_more(frozenset({"q_proj"}))
    assert method.inner == Lora(r=4, rank_pattern=(("q_proj", 5),))
    assert method.turns == 5


def test_a_method_can_be_sent_to_another_process() -> None:
    method = Idle(on="lora(r=4)")
    assert method.inner == Lora(r=4)
    assert pickle.loads(pickle.dumps(Ewc(on="lora(r=4)"))).inner == copy.deepcopy(method).inner


@pytest.mark.parametrize(
    "on",
    [
        "lora(r=2)",
        *(
            pytest.param(on, marks=pytest.mark.slow)
            for on in ("full", "pissa(r=2)", "adalora", "l2_sp(on='lora(r=2)')")
        ),
    ],
)
def test_it_keeps_the_laws_of_what_is_below(on: str) -> None:
    assert broken_laws(Idle(on=on)) == []


@pytest.mark.slow
@pytest.mark.parametrize("outer", [L2Sp(strength=0.0), Ewc(strength=0.0), Kl(strength=0.0), Replay(share=0.0)])
def test_all_baselines_keep_the_laws_without_any_strength(outer: Method) -> None:
    assert broken_laws(outer) == []


class Remembering(OnTopAttachment):
    """Remembers one number under a name that the inner attachment also has."""

    number: Tensor

    def own_state(self) -> dict[str, Tensor]:
        return {"ipt/number": self.number}

    def own_restore(self, state: Any) -> None:
        self.number = state["ipt/number"]


def test_what_both_remember_is_kept_apart(model: PreTrainedModel) -> None:
    inner = AdaLora().attach(model)
    outer = Remembering(inner)
    outer.number = torch.tensor(3.0)
    inner.model.base_model.rankallocator.ipt["number"] = torch.tensor(7.0)
    state = {name: tensor.clone() for name, tensor in outer.state().items()}
    outer.number = torch.tensor(0.0)
    inner.model.base_model.rankallocator.ipt.clear()
    outer.restore(state)
    assert outer.number == 3.0
    assert inner.model.base_model.rankallocator.ipt == {"number": torch.tensor(7.0)}


class Pulling(OnTopAttachment):
    """A pull of 1."""

    def pull(self) -> Tensor:
        return torch.tensor(1.0)


def test_penalties_of_both_are_added(model: PreTrainedModel) -> None:
    inner = AdaLora().attach(model)
    alone = inner.penalty()
    both = Pulling(inner).penalty()
    assert alone is not None and both is not None
    assert both.item() == pytest.approx(alone.item() + 1.0)
    assert OnTopAttachment(inner).penalty().equal(alone)  # type: ignore[union-attr]


def test_without_any_penalty_there_is_none(model: PreTrainedModel) -> None:
    assert OnTopAttachment(Lora(r=2).attach(model)).penalty() is None


def test_it_is_saved_and_detached_as_what_is_below(model: PreTrainedModel, tmp_path: Path) -> None:
    before = bits(model)
    attachment = Idle(on="lora(r=2)").attach(model)
    assert isinstance(attachment.inner, AdapterAttachment)
    assert attachment.model is attachment.inner.model
    assert list(attachment.initial()) == list(attachment.trainable())
    attachment.save(tmp_path)
    assert (tmp_path / "adapter_config.json").is_file()
    assert same_bits(bits(attachment.detach()), before)
