"""For every tuner of peft: which ways lead back, that they end at the base and the checkpoint, or why there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftModel
from safetensors.torch import load_file
from small import bits, same_bits
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.core.errors import IncompatibleUpdate, NotMeasurable
from holdfast.methods.full import Full
from holdfast.methods.pissa import Pissa
from holdfast.testing.laws import small_model
from holdfast.weights.moving import WEIGHTS
from holdfast.weights.path import DenseLine, Walkable
from holdfast.weights.paths.adapter import AdapterPath
from holdfast.weights.paths.catalogue import default_path, path_of, paths_of
from holdfast.weights.paths.dense import FolderLine
from holdfast.weights.quiet import quiet

Make = Callable[..., Any]
TURNED = "cayley_sqrt geodesic"

# Tuner and options; the paths that need nothing, and the own path where it needs the initial tensors.
TUNERS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "adalora": ("adalora", {"init_r": 6, "target_r": 4, "total_step": 10}, "additive dense", "own"),
    "adaption_prompt": (
        "adaption_prompt",
        {"adapter_len": 4, "adapter_layers": 2, "target_modules": None},
        "additive",
        "own",
    ),
    "beft": ("beft", {}, "own additive", ""),
    "boft": ("boft", {"boft_block_size": 8}, "own dense", ""),
    "c3a": ("c3a", {"block_size": 16}, "additive dense", ""),
    "deft": ("deft", {}, "dense", "own"),
    "deft(para)": ("deft", {"para": True}, "dense", ""),
    "delora": ("delora", {}, "additive dense", "own"),
    "fourierft": ("fourierft", {"n_frequency": 100}, "additive dense", ""),
    "frod": ("frod", {}, "own additive dense", ""),
    "glora": ("glora", {}, "additive dense", "own"),
    "gralora": ("gralora", {"r": 8, "hybrid_r": 4}, "additive dense", "own"),
    "hira": ("hira", {"r": 4}, "additive dense", "own"),
    "hra": ("hra", {"r": 4}, "dense", "own"),
    "hra(apply_GS)": ("hra", {"r": 4, "apply_GS": True}, "dense", ""),
    "ia3": ("ia3", {"feedforward_modules": []}, "own additive dense", ""),
    "lily": ("lily", {}, "additive", "own"),
    "ln_tuning": ("ln_tuning", {"target_modules": ["input_layernorm", "norm"]}, "own additive dense", ""),
    "loha": ("loha", {}, "additive dense", "own"),
    "lokr": ("lokr", {}, "additive dense", "own"),
    "lokr(decompose_both)": ("lokr", {"r": 2, "decompose_both": True}, "additive dense", "own"),
    "lora": ("lora", {"r": 4}, "additive dense", "own"),
    "lora(use_rslora)": ("lora", {"r": 4, "use_rslora": True}, "additive dense", "own"),
    "lora(use_dora)": ("lora", {"r": 4, "use_dora": True}, "additive dense", "own"),
    "lora(eva)": ("lora", {"r": 4, "init_lora_weights": "eva"}, "additive dense", "own"),
    "lora(never started)": ("lora", {"r": 4, "init_lora_weights": False}, "additive dense", ""),
    "lora(pissa)": ("lora", {"r": 4, "init_lora_weights": "pissa"}, "dense", ""),
    "lora(embedding)": ("lora", {"r": 4, "target_modules": ["q_proj", "embed_tokens"]}, "additive dense", "own"),
    "lora(head)": ("lora", {"r": 4, "modules_to_save": ["lm_head"]}, "additive dense", "own"),
    "lora(tokens)": ("lora", {"r": 4, "trainable_token_indices": [3, 4]}, "additive dense", "own"),
    "miss": ("miss", {"r": 4}, "own additive dense", ""),
    "miss(bat)": ("miss", {"r": 4, "init_weights": "bat", "target_modules": ["q_proj", "o_proj"]}, "own dense", ""),
    "oft": ("oft", {"oft_block_size": 16}, f"own dense {TURNED}", ""),
    "oft(exact)": ("oft", {"oft_block_size": 16, "use_cayley_neumann": False}, f"own dense {TURNED}", ""),
    "osf": ("osf", {}, "own dense", ""),
    "peanut": ("peanut", {"depth": 2}, "additive dense", "own"),
    "psoft": ("psoft", {}, "own dense", ""),
    "pvera": ("pvera", {}, "own additive dense", ""),
    "randlora": ("randlora", {"r": 8}, "own additive dense", ""),
    "road": ("road", {"group_size": 32}, "own dense", ""),
    "shira": ("shira", {"r": 4}, "own additive dense", ""),
    "supertuning": ("supertuning", {}, "own additive dense", ""),
    "tinylora": ("tinylora", {}, "own additive dense", ""),
    "trainable_tokens": (
        "trainable_tokens",
        {"token_indices": [3, 4], "target_modules": ["embed_tokens"]},
        "own additive dense",
        "",
    ),
    "unilora": ("unilora", {}, "dense", ""),
    "vblora": ("vblora", {"vector_length": 16, "num_vectors": 16}, "dense", ""),
    "vera": ("vera", {}, "own additive dense", ""),
    "waveft": ("waveft", {"n_frequency": 100}, "own additive dense", ""),
    "cartridge": ("cartridge", {"num_virtual_tokens": 4}, "", ""),
    "cpt": ("cpt", {}, "", ""),
    "prefix_tuning": ("prefix_tuning", {"num_virtual_tokens": 4}, "", ""),
    "prompt_tuning": ("prompt_tuning", {"num_virtual_tokens": 4}, "", ""),
    "p_tuning": ("p_tuning", {"num_virtual_tokens": 4, "encoder_hidden_size": 16}, "", ""),
}

LEVELLED = {"safe_scale", "min_scale", "drift"}
"""Paths on which layers are levelled: of two layers there are no first five, and nobody measured their drift."""

TRIED = (
    *("lora", "lora(use_dora)", "lora(pissa)", "lora(head)", "lora(embedding)", "oft", "oft(exact)"),
    *("adalora", "hira", "c3a", "beft", "ia3", "ln_tuning", "miss", "vera", "trainable_tokens"),
    *("boft", "osf", "hra", "unilora", "adaption_prompt", "prefix_tuning", "prompt_tuning"),
)
"""One of each set of ways back, and variants that are traps, in every run; the others in the slow ones."""

WARNED = (
    "Detected that the base layer has no bias",
    "Sparse invariant checks are implicitly disabled",
    "`init_lora_weights` is 'eva' but",
    "lora with eva initialization",
    "Setting `save_embedding_layers` to `True`",
)
"""What peft has to say of some of them."""

UNTRIED = {
    "adamss": "needs scikit-learn, which is not installed",
    "multitask_prompt_tuning": "needs task ids",
    "poly": "needs task ids",
    "shadow": "is a second model",
    "xlora": "mixes other adapters",
}


def logits_of(model: PreTrainedModel, inputs: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model(input_ids=inputs).logits
    return found


def far(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other.float()).abs().max())


def test_every_tuner_of_peft_is_here() -> None:
    known = {kind.value.lower() for kind in PEFT_TYPE_TO_CONFIG_MAPPING}
    assert {tuner for tuner, *_ in TUNERS.values()} | UNTRIED.keys() == known


def walked(path: AdapterPath, made: SimpleNamespace, inputs: Tensor, tmp_path: Path) -> None:
    before = bits(made.base)
    assert isinstance(path, Walkable)
    with path.walk(made.base) as bring:
        assert far(logits_of(bring(1), inputs), made.logits) <= 1e-6
        middle = logits_of(bring(0.3), inputs)
        assert far(logits_of(bring(0), inputs), made.before) <= 1e-6
        assert torch.equal(logits_of(bring(0.3), inputs), middle)
    assert same_bits(bits(made.base), before)
    written = tmp_path / path.label
    path.write(0.3, written)
    assert (written / WEIGHTS).stat().st_size == (made.folder / WEIGHTS).stat().st_size
    assert {file.name for file in written.iterdir()} == {file.name for file in made.folder.iterdir()}
    with quiet():
        loaded = PeftModel.from_pretrained(small_model(), str(written)).eval()
    assert torch.equal(logits_of(loaded, inputs), middle)


def grows_straight(path: AdapterPath, within: float) -> None:
    with path.updates() as at:
        whole, part = at(1), at(0.3)
    assert part.keys() == whole.keys()
    assert part.plus(whole.scaled(-0.3)).norm() <= within * whole.norm()


@pytest.mark.filterwarnings(*(f"ignore:{message}" for message in WARNED))
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in TRIED else pytest.mark.slow) for name in TUNERS]
)
def test_the_ways_back_end_at_the_base_and_at_the_checkpoint(
    made: Make, config: Make, inputs: Tensor, tmp_path: Path, name: str
) -> None:
    tuner, options, wanted, needs_initial = TUNERS[name]
    adapter = made(config(tuner, **options))
    before = bits(adapter.base)
    found = paths_of(adapter.folder, adapter.base)
    assert same_bits(bits(adapter.base), before)
    there = {label for label, path in found.items() if not isinstance(path, NotMeasurable)}
    assert there - LEVELLED == set(wanted.split())
    # Strengths by layer need weights that change inside of layers.
    assert there & LEVELLED == ({"min_scale"} if "dense" in wanted and tuner != "trainable_tokens" else set())
    for label, path in found.items():
        if isinstance(path, AdapterPath):
            walked(path, adapter, inputs, tmp_path)
            # The magnitude of DoRA divides by the length of the changed weight.
            if label == "additive" and "dense" in wanted and "dora" not in name:
                grows_straight(path, 1e-6 if tuner == "lora" else 5e-6)
        elif isinstance(path, DenseLine):
            with path.walk(adapter.base) as bring:
                assert far(logits_of(bring(1), inputs), adapter.logits) <= 2e-5
                assert torch.equal(logits_of(bring(0), inputs), adapter.before)
            assert same_bits(bits(adapter.base), before)
    if needs_initial:
        assert "nobody kept its initial value" in str(found["own"])
        own = path_of(adapter.folder, adapter.base, "own", adapter.initial)
        assert isinstance(own, AdapterPath)
        walked(own, adapter, inputs, tmp_path)


@pytest.mark.parametrize("kind", ["all", "lora_only"])
def test_biases_that_an_adapter_trained_go_back_to_those_of_the_base(
    made: Make, config: Make, inputs: Tensor, biased: PreTrainedModel, kind: str
) -> None:
    adapter = made(config("lora", r=4, bias=kind, target_modules=["q_proj"]), biased)
    before = bits(biased)
    for label in ("additive", "dense"):
        path = path_of(adapter.folder, biased, label)
        assert any(name.endswith(".bias") for name in path.at(1))
        with path.walk(biased) as bring:
            assert far(logits_of(bring(1), inputs), adapter.logits) <= 2e-5
            assert torch.equal(logits_of(bring(0), inputs), adapter.before)
        assert same_bits(bits(biased), before)


@pytest.mark.parametrize(
    ("tuner", "options", "off"),
    [
        ("lora", {"r": 4}, 0.0),
        ("lora", {"r": 4, "use_dora": True}, 0.01),
        ("oft", {"oft_block_size": 16}, 0.0),
        ("miss", {"r": 4}, 0.0),
        ("vera", {}, 0.0),
    ],
)
def test_a_base_of_half_precision_is_reached_as_nearly_as_it_rounds(
    made: Make, config: Make, inputs: Tensor, tuner: str, options: dict[str, Any], off: float
) -> None:
    adapter = made(config(tuner, **options), small_model().bfloat16())
    before = bits(adapter.base)
    for path in paths_of(adapter.folder, adapter.base).values():
        if isinstance(path, AdapterPath):
            assert path.tensors(0.3).keys() == load_file(adapter.folder / WEIGHTS).keys()
            with path.walk(adapter.base) as bring:
                assert torch.equal(logits_of(bring(1), inputs), adapter.logits)
                assert far(logits_of(bring(0), inputs), adapter.before) <= off
            assert same_bits(bits(adapter.base), before)


@pytest.mark.parametrize("tuner", ["unilora", "deft"])
def test_a_start_off_the_base_is_refused_also_where_half_precision_would_hide_it(
    made: Make, config: Make, tuner: str
) -> None:
    adapter = made(config(tuner, **({"para": True} if tuner == "deft" else {})), small_model().bfloat16())
    with pytest.raises(NotMeasurable, match="the path 'own' does not start at the base: a fresh"):
        path_of(adapter.folder, adapter.base, "own", adapter.initial)


def test_a_start_off_the_base_is_measured_where_no_list_knows_of_it(made: Make, config: Make) -> None:
    adapter = made(config("lora", r=4, init_lora_weights=False))
    with pytest.raises(NotMeasurable) as caught:
        path_of(adapter.folder, adapter.base, "own", adapter.initial)
    assert str(caught.value).startswith(
        "the path 'own' does not start at the base: a fresh lora adapter already changes what the model says, logits by"
    )


def test_reasons_are_sentences(made: Make, config: Make) -> None:
    lora = made(config("lora", r=4, target_modules=["q_proj"]))
    found = paths_of(lora.folder, lora.base)
    assert str(found["own"]) == (
        "'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' started at random and nobody kept its "
        "initial value (2 such tensors); give the initial tensors of the training, or take another path, such as the "
        "dense line"
    )
    assert str(found["geodesic"]) == "the rotations of a lora adapter: it has none"
    with pytest.raises(NotMeasurable, match=r"unknown path 'owm': did you mean 'own'\?"):
        path_of(lora.folder, lora.base, "owm")
    prompt = made(config("prompt_tuning", num_virtual_tokens=4), name="prompt")
    with pytest.raises(NotMeasurable) as caught:
        default_path(prompt.folder, prompt.base)
    reason = (
        "a prompt_tuning adapter adds virtual tokens, and a fresh one already changes what the model says: "
        "no way leads back to the base"
    )
    assert str(caught.value).splitlines() == [
        f"no path leads from the base to {prompt.folder}",
        *(f"{label}: {reason}" for label in ("additive", "own", "dense")),
    ]


def test_the_initial_tensors_may_be_a_folder_and_must_fit(made: Make, config: Make, tmp_path: Path) -> None:
    lora = made(config("lora", r=4, target_modules=["q_proj"]))
    fresh = made(config("lora", r=4, target_modules=["q_proj"]), by=0.0, name="fresh")
    own = path_of(lora.folder, lora.base, "own", fresh.folder)
    assert isinstance(own, AdapterPath)
    started = load_file(fresh.folder / WEIGHTS)
    assert all(torch.equal(tensor, started[name]) for name, tensor in own.tensors(0).items())
    narrow = made(config("lora", r=2, target_modules=["q_proj"]), by=0.0, name="narrow")
    with pytest.raises(IncompatibleUpdate) as caught:
        path_of(lora.folder, lora.base, "own", narrow.folder)
    assert str(caught.value) == (
        "'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight' has shape (2, 64) among the initial tensors "
        f"and (4, 64) in {lora.folder}; were they kept from another training?"
    )


def test_the_own_path_of_lora_moves_both_factors(made: Make, config: Make) -> None:
    adapter = made(config("lora", r=4, lora_alpha=8, target_modules=["q_proj"]))
    own = path_of(adapter.folder, adapter.base, "own", adapter.initial)
    final = load_file(adapter.folder / WEIGHTS)
    for layer in (0, 1):
        name = f"model.layers.{layer}.self_attn.q_proj"
        a1, b1 = (final[f"base_model.model.{name}.lora_{side}.weight"].double() for side in "AB")
        a0 = adapter.initial[f"base_model.model.{name}.lora_A.default.weight"].double()
        for t in (0.25, 0.5, 1.0):
            wanted = 2 * t * b1 @ (a0 + t * (a1 - a0))
            found = own.at(t)[f"{name}.weight"].dense().double()
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-8)


def test_the_default_follows_the_kind_of_checkpoint(made: Make, config: Make, tmp_path: Path) -> None:
    for tuner, label in (("lora", "additive"), ("oft", "own"), ("hra", "dense")):
        options = {"oft_block_size": 16} if tuner == "oft" else {"r": 4}
        adapter = made(config(tuner, **options), name=tuner)
        assert default_path(adapter.folder, adapter.base).label == label
    full = Full().attach(small_model())
    full.save(tmp_path / "full")
    assert isinstance(default_path(tmp_path / "full", small_model()), FolderLine)
    found = paths_of(tmp_path / "full", small_model())
    assert [label for label, path in found.items() if not isinstance(path, NotMeasurable)] == ["dense"]
    assert str(found["own"]) == (
        f"the path 'own' leads to adapters, and {tmp_path / 'full'} is a full model: take one of dense, safe_scale, "
        "min_scale, drift"
    )


def test_a_converted_pissa_goes_back_as_plain_lora(tmp_path: Path, inputs: Tensor) -> None:
    base = small_model()
    before = logits_of(base, inputs)
    attachment = Pissa(r=4).attach(base)
    with torch.no_grad():
        for tensor in attachment.trainable().values():
            tensor.mul_(1.3)
    attachment.model.eval()
    wanted = logits_of(attachment.model, inputs)
    attachment.save(tmp_path / "pissa")
    base = attachment.detach()
    path = default_path(tmp_path / "pissa", base)
    assert path.label == "additive"
    with path.walk(base) as bring:
        assert torch.equal(logits_of(bring(0), inputs), before)
        assert far(logits_of(bring(1), inputs), wanted) <= 2e-5


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`", "ignore:Setting `save_embedding_layers`")
@pytest.mark.parametrize(
    ("options", "dense"),
    [
        ({}, True),
        ({"modules_to_save": ["lm_head"]}, False),
        ({"modules_to_save": ["embed_tokens"]}, False),
        ({"target_modules": ["q_proj", "embed_tokens"]}, False),
        ({"trainable_token_indices": [3, 4]}, True),
        ({"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, True),
    ],
)
def test_what_an_adapter_moves_apart_is_not_made_one_again(
    made: Make, config: Make, inputs: Tensor, options: dict[str, Any], dense: bool
) -> None:
    tied = LlamaForCausalLM(LlamaConfig(**{**small_model().config.to_dict(), "tie_word_embeddings": True})).eval()
    adapter = made(config("lora", **{"r": 4, "target_modules": ["q_proj"], **options}), tied)
    before = bits(tied)
    found = paths_of(adapter.folder, tied)
    for label in ("additive", "dense") if dense else ("additive",):
        with found[label].walk(tied) as bring:
            assert far(logits_of(bring(1), inputs), adapter.logits) <= 2e-5
            assert torch.equal(logits_of(bring(0), inputs), adapter.before)
    assert same_bits(bits(tied), before)
    if not dense:
        assert str(found["dense"]) == (
            f"the dense line to {adapter.folder}: 'model.embed_tokens.weight' and 'lm_head.weight' are one weight of "
            "the base, and the adapter moves them apart"
        )


def test_rotations_that_are_none_have_no_even_way_in_their_angles(made: Make, config: Make) -> None:
    adapter = made(config("oft", oft_block_size=16, target_modules=["q_proj"]), by=0.5)
    found = paths_of(adapter.folder, adapter.base)
    assert [label for label, path in found.items() if not isinstance(path, NotMeasurable)] == [
        "own",
        "dense",
        "cayley_sqrt",
        "min_scale",
    ]
    assert "q_proj" in str(found["geodesic"])


def test_other_trained_tensors_of_rotations_go_with_them(made: Make, config: Make, inputs: Tensor) -> None:
    adapter = made(config("oft", oft_block_size=16, target_modules=["q_proj"], modules_to_save=["lm_head"]))
    head = adapter.base.lm_head.weight.detach().clone()
    for label in ("own", "cayley_sqrt", "geodesic"):
        path = path_of(adapter.folder, adapter.base, label)
        assert isinstance(path, AdapterPath)
        assert torch.equal(path.tensors(0)["base_model.model.lm_head.weight"], head)
        with path.walk(adapter.base) as bring:
            assert torch.equal(logits_of(bring(0), inputs), adapter.before)
            assert torch.equal(logits_of(bring(1), inputs), adapter.logits)
    assert torch.equal(adapter.base.lm_head.weight, head)
