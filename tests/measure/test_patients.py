"""Folders of every kind become the update that they make, and the base does not notice."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import IA3Config, LNTuningConfig, LoraConfig, OFTConfig, PeftConfig, get_peft_model
from safetensors.torch import load_file, save_file
from small import bits, same_bits
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.core.diagnosis import UPDATE, Diagnosis
from holdfast.core.errors import DamagedCheckpoint, IncompatibleUpdate, ModelNotFound, NotMeasurable, UnsafeFile
from holdfast.measure.diagnose import Asked, Diagnosing, diagnose
from holdfast.measure.patients import patient
from holdfast.models.base import Base
from holdfast.probes.activation_geometry import ActivationGeometry
from holdfast.probes.tokens import TokenChoice
from holdfast.probes.weight_space import WeightSpace
from holdfast.store.spectra import CACHE
from holdfast.testing.laws import small_model
from holdfast.weights.quiet import quiet

HOW = Diagnosing(
    weights=WeightSpace(subspaces=(4,)),
    activations=ActivationGeometry(subspaces=(2,)),
    choice=TokenChoice(tokens=4),
)
SHORT = Diagnosing(weights=WeightSpace(subspaces=()), controls=False)
PROMPTS = {"general": Asked("g", [tuple(range(3 + at, 15 + at)) for at in range(6)])}
Weights = dict[str, Tensor]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))


def base_of(model: PreTrainedModel) -> Base:
    tokenizer: Any = None
    return Base("base", model, tokenizer, "")


def tied_model() -> PreTrainedModel:
    config: Any = copy.deepcopy(small_model().config)
    config.tie_word_embeddings = True
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


def adapter(folder: Path, config: PeftConfig, make: Callable[[], PreTrainedModel] = small_model) -> Weights:
    """An adapter written by plain peft; what its merged weights are less those of the base."""
    base = make()
    before = {name: tensor.detach().clone() for name, tensor in base.named_parameters(remove_duplicate=False)}
    with quiet(), torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(7)
        attached = get_peft_model(base, config)
        for tensor in attached.parameters():
            if tensor.requires_grad:
                tensor.add_(0.05 * torch.randn_like(tensor))
        attached.save_pretrained(str(folder))
        merged = attached.merge_and_unload()
    after = dict(merged.named_parameters(remove_duplicate=False))
    return {name: after[name].detach() - tensor for name, tensor in before.items()}


LINEAR = ["q_proj", "down_proj"]
CONFIGS: dict[str, Callable[[], PeftConfig]] = {
    "lora": lambda: LoraConfig(r=4, target_modules=LINEAR),
    "dora": lambda: LoraConfig(r=4, target_modules=LINEAR, use_dora=True),
    "pissa": lambda: LoraConfig(r=4, target_modules=LINEAR, init_lora_weights="pissa"),
    "olora": lambda: LoraConfig(r=4, target_modules=LINEAR, init_lora_weights="olora"),
    "oft": lambda: OFTConfig(oft_block_size=16, target_modules=LINEAR, use_cayley_neumann=False),
    "ia3": lambda: IA3Config(target_modules=LINEAR, feedforward_modules=["down_proj"]),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_an_adapter_of_plain_peft_is_the_change_that_merging_makes(tmp_path: Path, kind: str) -> None:
    wanted = adapter(tmp_path / "adapter", CONFIGS[kind]())
    model = small_model()
    before = bits(model)
    found = patient("base", tmp_path / "adapter", base_of(model))
    assert same_bits(bits(model), before)
    assert set(found.update) == {name for name, change in wanted.items() if bool(change.any())}
    for name, change in found.update.items():
        torch.testing.assert_close(change.dense(), wanted[name], rtol=1e-4, atol=2e-6)
    assert found.form == {"dora": "lora adapter", "oft": "oft adapter", "ia3": "ia3 adapter"}.get(kind, "lora adapter")


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.slow if kind in ("dora", "olora", "ia3") else ()) for kind in CONFIGS],
)
def test_an_adapter_of_plain_peft_is_diagnosed_and_the_base_does_not_notice(tmp_path: Path, kind: str) -> None:
    wanted = adapter(tmp_path / "adapter", CONFIGS[kind]())
    model = small_model()
    before = bits(model)
    found = diagnose(patient("base", tmp_path / "adapter", base_of(model)), PROMPTS, HOW)
    assert same_bits(bits(model), before)
    # In the inputs of the first change nothing has moved yet: what it adds to its outputs is the drift.
    site = "model.layers.0.self_attn.q_proj"
    size = {one.site: one.value for one in told(found, "relative_size_frobenius")}
    weight = small_model().get_parameter(f"{site}.weight").detach()
    assert size[site] == pytest.approx(float(wanted[f"{site}.weight"].norm() / weight.norm()), rel=1e-3)
    (drift,), residual = (
        [one.value for one in told(found, name) if one.site == site]
        for name in ("drift_relative/general", "raw_residual/general")
    )
    assert drift is not None and drift > 0
    assert residual[0] is not None and residual[0] ** 2 == pytest.approx(drift, rel=0.5)


def told(found: Diagnosis, quantity: str) -> list[Any]:
    return [one for one in found.records if one.subject == UPDATE and one.quantity == quantity]


def test_the_base_is_what_it_was_also_when_a_pissa_adapter_does_not_load(tmp_path: Path) -> None:
    adapter(tmp_path / "adapter", CONFIGS["pissa"]())
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file(dict(list(load_file(file).items())[1:]), file)
    model = small_model()
    before = bits(model)
    with pytest.raises(DamagedCheckpoint, match=r"lacks .* \(1 in all\), which adapter_config.json asks for"):
        patient("base", tmp_path / "adapter", base_of(model))
    assert same_bits(bits(model), before)


def test_an_adapter_of_norms_changes_no_matrix(tmp_path: Path) -> None:
    adapter(tmp_path / "adapter", LNTuningConfig(target_modules=["input_layernorm"]))
    with pytest.raises(NotMeasurable) as caught:
        diagnose(patient("base", tmp_path / "adapter", base_of(small_model())), how=SHORT)
    assert str(caught.value) == f"{tmp_path / 'adapter'} changes no matrix of base: there is nothing to be diagnosed"


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    adapter(tmp_path / "adapter", CONFIGS["lora"]())
    model = LlamaForCausalLM(LlamaConfig(vocab_size=128, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                         num_attention_heads=4, num_key_value_heads=2)).eval()  # fmt: skip
    before = bits(model)
    with pytest.raises(IncompatibleUpdate, match="does not fit this base model"):
        patient("base", tmp_path / "adapter", base_of(model))
    assert same_bits(bits(model), before)


@pytest.mark.filterwarnings("ignore:Model (has|with) `tie_word_embeddings=True`", "ignore:Setting `save_embed")
@pytest.mark.parametrize("target", ["embed_tokens", "lm_head"])
def test_a_weight_that_is_tied_is_named_once(tmp_path: Path, target: str) -> None:
    adapter(tmp_path / "adapter", LoraConfig(r=4, target_modules=[target]), tied_model)
    model = tied_model()
    found = diagnose(patient("base", tmp_path / "adapter", base_of(model)), how=SHORT)
    assert [site.name for site in found.sites] == ["model.embed_tokens" if target == "embed_tokens" else "lm_head"]


def full(folder: Path, model: PreTrainedModel, by: float = 0.01, shards: str = "5GB") -> Path:
    with quiet(), torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        for tensor in model.parameters():
            tensor.add_(by * torch.randn_like(tensor))
        model.save_pretrained(folder, max_shard_size=shards)
    return folder


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*args: object, **given: object) -> None:
        pytest.fail("a model was opened")

    for name in ("__init__", "from_pretrained"):
        monkeypatch.setattr(PreTrainedModel, name, opened)


@pytest.mark.parametrize("shards", ["5GB", "50KB"])
def test_two_full_checkpoints_are_read_without_opening_a_model(
    tmp_path: Path, request: pytest.FixtureRequest, shards: str
) -> None:
    base = full(tmp_path / "base", small_model(), by=0, shards=shards)
    tuned = full(tmp_path / "tuned", small_model())
    wanted = {name: tensor.detach().clone() for name, tensor in small_model().named_parameters()}
    request.getfixturevalue("no_model")
    found = diagnose(patient(str(base), tuned, None), how=SHORT)
    matrices = [name for name, tensor in wanted.items() if tensor.dim() == 2]
    assert {f"{site.name}.weight" for site in found.sites} == set(matrices)
    assert (found.form, found.base, found.tuned) == ("full checkpoint", str(base), str(tuned))
    assert found.base_params == found.moved_params == sum(tensor.numel() for tensor in wanted.values())
    after = {name: tensor for file in tuned.glob("*.safetensors") for name, tensor in load_file(file).items()}
    for one in told(found, "relative_size_frobenius"):
        if one.site:
            weight = wanted[f"{one.site}.weight"]
            assert one.value == pytest.approx(
                float((after[f"{one.site}.weight"] - weight).norm() / weight.norm()), rel=1e-4
            )


def pickled(folder: Path, *, tied: bool = False, split: bool = False) -> Path:
    """The weights of a folder as older tools left them: in pickles, and tied ones under both names."""
    file = folder / "model.safetensors"
    held = load_file(file)
    if tied:
        held["lm_head.weight"] = held["model.embed_tokens.weight"]
    names = list(held)
    parts = [names[::2], names[1::2]] if split else [names]
    for number, part in enumerate(parts):
        name = f"pytorch_model-{number}.bin" if split else "pytorch_model.bin"
        torch.save({each: held[each] for each in part}, folder / name)
    if split:
        listed = {each: f"pytorch_model-{number}.bin" for number, part in enumerate(parts) for each in part}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": listed}))
    file.unlink()
    return folder


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("sides", [("base",), ("tuned",), ("base", "tuned")])
def test_trusted_pickles_are_diagnosed_as_safetensors_are(tmp_path: Path, sides: tuple[str, ...], split: bool) -> None:
    base, tuned = both(tmp_path)
    wanted = diagnose(patient(str(base), tuned, None), how=SHORT)
    for side in sides:
        pickled(tmp_path / side, split=split)
    with pytest.raises(UnsafeFile) as caught:
        patient(str(base), tuned, None)
    assert str(caught.value) == (
        f"{tmp_path / sides[0]} holds its weights in {'pytorch_model-0.bin' if split else 'pytorch_model.bin'}, a "
        "pickle, which can run code when opened; save the model with safe_serialization=True, or pass --allow_pickle "
        "if you trust its origin"
    )
    found = diagnose(patient(str(base), tuned, None, allow_pickle=True), how=SHORT)
    assert (found.base_params, found.moved_params) == (wanted.base_params, wanted.moved_params)
    values = {(one.quantity, one.site): one.value for one in told(found, "relative_size_frobenius")}
    assert values == {(one.quantity, one.site): one.value for one in told(wanted, "relative_size_frobenius")}


def test_trusted_pickles_are_run_and_the_base_does_not_notice(tmp_path: Path) -> None:
    base, tuned = full(tmp_path / "base", tied_model(), by=0), full(tmp_path / "tuned", tied_model())
    wanted = LlamaForCausalLM.from_pretrained(tuned, dtype=torch.float32).eval()
    for folder in (base, tuned):
        pickled(folder, tied=True)
    model, ids = tied_model(), torch.arange(9)[None]
    before = bits(model)
    found = patient(str(base), tuned, base_of(model), allow_pickle=True)
    assert "lm_head.weight" not in found.update and found.point is not None
    with found.point.on(model) as live, torch.inference_mode():
        assert torch.equal(live(input_ids=ids).logits, wanted(input_ids=ids).logits)
    assert same_bits(bits(model), before)


def test_a_trusted_pickle_of_an_adapter_is_diagnosed(tmp_path: Path) -> None:
    wanted = adapter(tmp_path / "adapter", CONFIGS["lora"]())
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    found = patient("base", tmp_path / "adapter", base_of(small_model()), allow_pickle=True)
    for name, change in found.update.items():
        torch.testing.assert_close(change.dense(), wanted[name], rtol=1e-4, atol=2e-6)
    model = small_model()
    before = bits(model)
    assert found.point is not None
    with found.point.on(model) as tuned, torch.inference_mode():
        said = tuned(input_ids=torch.arange(9)[None]).logits
        assert not torch.allclose(said, small_model()(input_ids=torch.arange(9)[None]).logits, atol=1e-3)
    assert same_bits(bits(model), before)


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_codes_of_quantised_weights_are_refused_in_pickles_too(tmp_path: Path, side: str) -> None:
    base, tuned = both(tmp_path)
    name = "model.layers.1.mlp.up_proj.weight"
    edited(tmp_path / side, lambda held: {**held, name: held[name].to(torch.float8_e4m3fn)})
    pickled(tmp_path / side)
    with pytest.raises(NotMeasurable, match=f"'{name}' is stored as float8_e4m3fn, the code of a quantised weight"):
        patient(str(base), tuned, None, allow_pickle=True)


def test_a_head_that_is_tied_is_stored_and_named_once(tmp_path: Path) -> None:
    base, tuned = full(tmp_path / "base", tied_model(), by=0), full(tmp_path / "tuned", tied_model())
    found = diagnose(patient(str(base), tuned, base_of(tied_model())), PROMPTS, HOW)
    names = [site.name for site in found.sites]
    assert names.count("model.embed_tokens") == 1
    assert "lm_head" not in names
    assert found.base_params == sum(tensor.numel() for tensor in tied_model().parameters())


def test_a_full_checkpoint_against_itself_changes_nothing(tmp_path: Path) -> None:
    base = full(tmp_path / "base", small_model(), by=0)
    model = small_model()
    found = diagnose(patient(str(base), base, base_of(model)), PROMPTS, HOW)
    assert {one.value for one in told(found, "relative_size_frobenius")} == {0.0}
    assert {one.value for one in told(found, "drift_absolute/general")} == {0.0}
    assert {one.value for one in told(found, "raw_residual/general")} == {0.0}


def test_the_spectra_of_a_base_are_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.store import spectra

    monkeypatch.setattr(spectra.Spectra.__init__, "__defaults__", (None, 64))
    counted: list[tuple[int, ...]] = []
    plain = spectra.spectrum_of
    monkeypatch.setattr(spectra, "spectrum_of", lambda weight: counted.append(tuple(weight.shape)) or plain(weight))
    base = full(tmp_path / "base", small_model(), by=0)
    first = diagnose(patient(str(base), full(tmp_path / "one", small_model()), None), how=SHORT)
    wide = len(counted)
    diagnose(patient(str(base), full(tmp_path / "two", small_model(), by=0.02), None), how=SHORT)
    again = diagnose(patient(str(base), tmp_path / "one", None), how=SHORT)
    narrow = [shape for shape in counted[:wide] if min(shape) < 64]
    assert len(counted) == wide + 2 * len(narrow)
    assert again.records == first.records


def edited(folder: Path, change: Callable[[Weights], Weights]) -> Path:
    file = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in change(load_file(file)).items()}, file)
    return folder


def both(tmp_path: Path) -> tuple[Path, Path]:
    return full(tmp_path / "base", small_model(), by=0), full(tmp_path / "tuned", small_model())


def test_full_checkpoints_of_different_architectures_are_refused(tmp_path: Path) -> None:
    base, tuned = both(tmp_path)
    edited(tuned, lambda held: {name.replace("up_proj", "wider_proj"): part for name, part in held.items()})
    with pytest.raises(IncompatibleUpdate) as caught:
        patient(str(base), tuned, None)
    assert str(caught.value) == (
        f"'model.layers.0.mlp.up_proj.weight' is only in {base} (4 such tensors): not the same architecture"
    )


def test_full_checkpoints_of_different_vocabularies_are_refused(tmp_path: Path) -> None:
    base, tuned = both(tmp_path)
    config = json.loads((tuned / "config.json").read_text())
    (tuned / "config.json").write_text(json.dumps({**config, "vocab_size": 130}))
    wide = ("lm_head.weight", "model.embed_tokens.weight")
    edited(tuned, lambda held: {k: torch.cat([v, v[:2]]) if k in wide else v for k, v in held.items()})
    with pytest.raises(IncompatibleUpdate) as caught:
        patient(str(base), tuned, None)
    assert str(caught.value) == (
        f"{base} knows 128 tokens and {tuned} 130, so their embeddings cannot be compared; resize those of the base to "
        "the vocabulary of the tuned model, and compare with that"
    )


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    base, tuned = full(tmp_path / "base", small_model(), by=0), full(tmp_path / "tuned", small_model(), shards="50KB")
    lost = sorted(tuned.glob("*.safetensors"))[0]
    lost.unlink()
    with pytest.raises(DamagedCheckpoint) as caught:
        patient(str(base), tuned, None)
    assert str(caught.value) == f"{lost} is listed in the index but is not there"


def test_a_base_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        patient("some/hub-id", full(tmp_path / "tuned", small_model()), None)
    assert str(caught.value) == (
        "there is no folder 'some/hub-id': a full checkpoint is compared with the files of its base; download them and "
        "give their folder"
    )


@pytest.mark.parametrize("side", ["base", "tuned"])
@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_codes_of_quantised_weights_are_refused_on_either_side(tmp_path: Path, side: str, dtype: torch.dtype) -> None:
    base, tuned = both(tmp_path)
    name = "model.layers.1.mlp.up_proj.weight"
    edited(tmp_path / side, lambda held: {**held, name: held[name].to(dtype)})
    with pytest.raises(NotMeasurable, match=f"'{name}' is stored as {str(dtype)[6:]}, the code of a quantised weight"):
        patient(str(base), tuned, None)


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_a_model_that_says_it_is_quantised_is_refused(tmp_path: Path, side: str) -> None:
    base, tuned = both(tmp_path)
    file = tmp_path / side / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "quantization_config": {"quant_method": "gptq"}}))
    with pytest.raises(NotMeasurable) as caught:
        patient(str(base), tuned, None)
    assert str(caught.value) == (
        f"{tmp_path / side} is quantised (gptq), and its tensors are codes of weights: diagnose the model as it was "
        "before quantisation, or write both models out in bfloat16 first"
    )


def test_an_adapter_on_a_quantised_base_is_refused(tmp_path: Path) -> None:
    adapter(tmp_path / "adapter", CONFIGS["lora"]())
    model: Any = small_model()
    coded = torch.nn.Parameter(torch.ones(64, 64, dtype=torch.int8), requires_grad=False)
    model.model.layers[0].self_attn.q_proj.weight = coded
    with pytest.raises(NotMeasurable, match=r"q_proj\.weight' is stored as int8, the code of a quantised weight"):
        patient("base", tmp_path / "adapter", base_of(model))


def test_tables_of_positions_are_no_weights(tmp_path: Path) -> None:
    base, tuned = both(tmp_path)
    for folder in (base, tuned):
        edited(folder, lambda held: {**held, "position_ids": torch.arange(8)[None]})
    found = diagnose(patient(str(base), tuned, None), how=SHORT)
    assert "position_ids" not in {site.name for site in found.sites}
    assert found.base_params == sum(tensor.numel() for tensor in small_model().parameters())
