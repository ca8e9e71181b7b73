"""Any other tuner of peft by its name, with its options checked before anything is attached."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
import torch
from small import bits, moved, same_bits, tuner
from torch import Tensor, nn
from transformers import PreTrainedModel

from holdfast.core.errors import RecipeError
from holdfast.methods.peft_tuner import OWN, REFUSED, PeftTuner
from holdfast.testing.laws import small_model


def test_a_tuner_is_named_with_its_options() -> None:
    assert tuner("loha").spec() == tuner("loha").label == "peft:loha"
    assert tuner("loha", r=4, alpha=2).spec() == "peft:loha(r=4, alpha=2)"


@pytest.mark.parametrize(("name", "own"), OWN.items())
def test_a_tuner_that_has_a_file_of_its_own_is_refused_in_favour_of_that(name: str, own: str) -> None:
    assert tuner(name).faults() == (f"peft:{name}: use the method '{own}', which sees to the traps of this tuner",)


@pytest.mark.parametrize("name", REFUSED)
def test_a_tuner_that_cannot_be_run_is_refused_with_the_reason(name: str) -> None:
    assert tuner(name).faults() == (f"peft:{name} is not offered: {REFUSED[name]}",)


def test_an_unknown_tuner_is_answered_by_the_nearest() -> None:
    assert tuner("lohaa").faults() == ("unknown peft tuner 'lohaa': did you mean 'loha'?",)


def test_all_unknown_options_are_told_with_the_nearest() -> None:
    assert tuner("loha", rr=4, alfa=2, module_dropout=0.1).faults() == (
        "peft:loha: unknown option 'alfa': did you mean 'alpha'?",
        "peft:loha: unknown option 'rr': did you mean 'r'?",
    )


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        (
            "vblora",
            {},
            "peft:vblora cannot be put on this model with these options: `in_features` 64 must be divisible",
        ),
        ("loha", {"r": -1}, "peft:loha cannot be put on this model with these options: "),
        ("loha", {"target_modules": "nothing"}, "peft:loha cannot be put on this model with these options: "),
        ("trainable_tokens", {"token_indices": [128]}, "peft:trainable_tokens cannot be put on this model with these "),
        ("lohaa", {}, "unknown peft tuner 'lohaa'"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused_and_leave_it_whole(
    model: PreTrainedModel, name: str, options: dict[str, object], fault: str
) -> None:
    before = bits(model)
    with pytest.raises(RecipeError) as caught:
        tuner(name, **options).attach(model)
    assert caught.value.faults[0].startswith(fault)
    assert same_bits(bits(model), before)


@pytest.mark.parametrize(
    ("name", "knob", "values"),
    [
        ("loha", "r", (1, 2, 3)),
        ("fourierft", "n_frequency", (1, 2, 3)),
        ("osf", "effective_rank", (32, 31, 30)),  # what is kept still: the more of it, the less is trained
    ],
)
def test_the_first_knob_of_its_configuration_is_turned(
    model: PreTrainedModel, name: str, knob: str, values: tuple[int, ...]
) -> None:
    settings = list(islice(tuner(name).settings(model), 3))
    assert [dict(setting.options) for setting in settings] == [{knob: value} for value in values]


def test_a_knob_that_is_given_is_not_turned(model: PreTrainedModel) -> None:
    assert list(tuner("loha", r=4).settings(model)) == [tuner("loha", r=4)]


def test_a_tuner_is_hashable_by_nothing_but_equal_by_its_options() -> None:
    assert tuner("loha", r=4) == tuner("loha", r=4) != tuner("loha", r=5)
    assert PeftTuner("loha") == tuner("loha")


def poisoned(self: nn.Module, *, device: str) -> nn.Module:
    """What memory that nobody has written to may hold."""
    self.to(device)
    for tensor in (*self.parameters(), *self.buffers()):
        tensor.data = torch.full_like(tensor, torch.nan) if tensor.is_floating_point() else tensor.data
    return self


@pytest.mark.parametrize("method", [tuner("frod"), tuner("shira", r=4)], ids=PeftTuner.spec)
def test_tuners_that_look_at_values_are_counted_as_they_attach_whatever_memory_holds(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch, method: PeftTuner
) -> None:
    attached = sum(tensor.numel() for tensor in method.attach(small_model()).trainable().values())
    assert method.parameters(model) == attached > 0
    emptied: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "to_empty", lambda self, **given: emptied.append(self) or poisoned(self, **given))
    before, drawn = bits(model), torch.get_rng_state()
    assert method.parameters(model) == method.parameters(model) == attached
    assert len(emptied) == 2 and all(bool(one.isfinite().all()) for model in emptied for one in model.parameters())
    assert same_bits(bits(model), before) and torch.equal(torch.get_rng_state(), drawn)


def test_the_values_that_are_counted_with_are_the_same_each_time(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Tensor]] = []
    empty: Callable[..., Any] = nn.Module.to_empty

    def watched(self: nn.Module, **given: Any) -> nn.Module:
        seen.append([*(filled := empty(self, **given)).parameters()])
        return filled

    monkeypatch.setattr(nn.Module, "to_empty", watched)
    for _ in range(2):
        torch.rand(3)  # what else is drawn has no part in it
        tuner("shira", r=4).parameters(model)
    weights = [[tensor for tensor in tensors if tensor.dim() == 2] for tensors in seen]
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
    assert all(0.01 < float(tensor.std()) < 0.03 for tensor in weights[0])


def test_tokens_are_trained_in_the_embedding_and_nowhere_else(model: PreTrainedModel, inputs: Tensor) -> None:
    method = tuner("trainable_tokens", token_indices=[3, 5])
    assert method.faults() == () and method.parameters(model) == 2 * 64
    attachment = moved(method, small_model())
    update = attachment.update()
    change = update["model.embed_tokens.weight"].dense()
    assert list(update) == ["model.embed_tokens.weight"]
    assert change.any(dim=1).nonzero().flatten().tolist() == [3, 5]
    with torch.inference_mode(), update.added_to(model):
        assert torch.equal(model(input_ids=inputs).logits, attachment.model(input_ids=inputs).logits)


@pytest.mark.parametrize("options", [{}, {"token_indices": []}])
def test_tokens_have_to_be_named(model: PreTrainedModel, options: dict[str, object]) -> None:
    fault = "peft:trainable_tokens: give token_indices, the ids of the tokens to train"
    assert tuner("trainable_tokens", **options).faults() == (fault,)
    with pytest.raises(RecipeError) as caught:
        tuner("trainable_tokens", **options).attach(model)
    assert caught.value.faults == (fault,)
