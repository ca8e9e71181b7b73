"""An adapter becomes the update that merging it would make, whatever its tuner, and leaves the base as it was."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftConfig, PeftModel, TrainableTokensConfig, get_peft_model
from safetensors.torch import load_file, save_file
from small import ADAPTERS, bits, moved, same_bits, tuner
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.algebra.delta import Dense
from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import Rotation
from holdfast.core.errors import DamagedCheckpoint, HoldfastError, IncompatibleUpdate, NotMeasurable, UnsafeFile
from holdfast.methods.lora import Lora
from holdfast.methods.oft import Oft
from holdfast.testing.laws import small_model
from holdfast.weights.adapter import WEIGHTS, is_adapter, load_adapter, read_adapter, update_of
from holdfast.weights.loading import checkpoint_on
from holdfast.weights.moving import CONFIG
from holdfast.weights.quiet import quiet

Saved = Callable[..., tuple[Path, Tensor]]
FORMS = {"lora": LowRank, "lora(use_rslora=True)": LowRank, "pissa": LowRank, "oft": Rotation}


def llama(**changes: int) -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**{**small_model().config.to_dict(), **changes})).eval()


def tied(**changes: int) -> PreTrainedModel:
    """The small model with one weight for embedding and head."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return llama(tie_word_embeddings=True, **changes)


def trace_free(model: PreTrainedModel) -> bool:
    """Whether nothing of peft is left in a model."""
    return not hasattr(model, "peft_config") and not any("peft" in type(m).__module__ for m in model.modules())


@pytest.mark.parametrize("spec", ADAPTERS)
def test_the_update_of_a_folder_added_to_the_base_answers_as_the_live_adapter(
    saved: Saved, model: PreTrainedModel, inputs: Tensor, spec: str
) -> None:
    folder, wanted = saved(ADAPTERS[spec])
    model.model.norm.weight.requires_grad_(False)
    before = bits(model)
    update = read_adapter(folder, model)
    assert same_bits(bits(model), before) and trace_free(model)
    with update.added_to(model), torch.inference_mode():
        torch.testing.assert_close(model(input_ids=inputs).logits, wanted, rtol=1e-4, atol=2e-5)
    assert {type(change) for change in update.values()} == {FORMS.get(spec, Dense)}


@pytest.mark.parametrize("spec", ADAPTERS)
def test_a_folder_gives_the_same_update_as_the_live_adapter(saved: Saved, model: PreTrainedModel, spec: str) -> None:
    attachment = moved(ADAPTERS[spec], small_model())
    live = {name: change.dense() for name, change in attachment.update().items()}
    read = read_adapter(saved(ADAPTERS[spec])[0], model)
    assert set(read) == set(live)
    for name, change in read.items():
        torch.testing.assert_close(change.dense(), live[name], rtol=1e-4, atol=1e-6)


def test_asking_a_live_adapter_changes_nothing(model: PreTrainedModel) -> None:
    for method in ADAPTERS.values():
        attachment = moved(method, copy.deepcopy(model))
        before = bits(attachment.model)
        update_of(attachment.model)
        assert same_bits(bits(attachment.model), before)
        assert not any(getattr(module, "merged", False) for module in attachment.model.modules())


@pytest.mark.parametrize("exact", [True, False])
def test_the_rotation_of_oft_has_the_sign_of_what_peft_merges(model: PreTrainedModel, exact: bool) -> None:
    base = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    attachment = moved(Oft(block_size=16, exact=exact), model)
    update = attachment.update()
    with quiet():
        merged = dict(attachment.model.merge_and_unload().named_parameters())
    for name, change in update.items():
        assert isinstance(change, Rotation) == exact
        torch.testing.assert_close(base[name] + change.dense(), merged[name].detach(), rtol=1e-5, atol=2e-6)
        assert change.norm() > 0.1 * float(base[name].norm())


@pytest.mark.parametrize("use_rslora", [True, False])
def test_ranks_and_scales_that_differ_between_layers_are_those_of_each_layer(
    model: PreTrainedModel, use_rslora: bool
) -> None:
    base = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    config = LoraConfig(
        r=4, lora_alpha=7, rank_pattern={"q_proj": 2}, alpha_pattern={"up_proj": 3}, target_modules="all-linear",
        use_rslora=use_rslora, init_lora_weights=False,
    )  # fmt: skip
    with quiet():
        attached = get_peft_model(model, config)
        update = update_of(attached)
        merged = dict(attached.merge_and_unload().named_parameters())
    for name, change in update.items():
        torch.testing.assert_close(base[name] + change.dense(), merged[name].detach(), rtol=1e-5, atol=1e-6)
        assert isinstance(change, LowRank)
        assert change.left.shape[1] == (2 if "q_proj" in name else 4)


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["lm_head"], init_lora_weights=False),
        LoraConfig(r=4, target_modules=["embed_tokens", "q_proj"], init_lora_weights=False),
        LoraConfig(r=4, target_modules=["q_proj"], lora_bias=True, init_lora_weights=False),
    ],
    ids=["modules to save", "embeddings", "biases"],
)
def test_what_lora_changes_beside_linear_weights_is_in_the_update(
    model: PreTrainedModel, inputs: Tensor, config: LoraConfig
) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and config.lora_bias:
            module.bias = torch.nn.Parameter(torch.zeros(module.out_features))
    with quiet():
        attached = get_peft_model(copy.deepcopy(model), copy.deepcopy(config))
    with torch.no_grad():
        for name, tensor in attached.named_parameters():
            if "modules_to_save" in name:
                tensor.add_(0.1 * torch.randn_like(tensor))
    with torch.inference_mode():
        wanted = attached.eval()(input_ids=inputs).logits
        with update_of(attached).added_to(model):
            torch.testing.assert_close(model(input_ids=inputs).logits, wanted, rtol=1e-4, atol=2e-5)


LORA = {"r": 4, "target_modules": ["q_proj"], "init_lora_weights": False}
TOKENS: dict[str, Callable[[], PeftConfig]] = {
    "beside lora": lambda: LoraConfig(**LORA, trainable_token_indices=[1, 5, 9]),
    "alone": lambda: TrainableTokensConfig(token_indices=[1, 5, 9]),
}
ON_BOTH = {"embed_tokens": [1, 5], "lm_head": [2]}


def with_other_tokens(model: PreTrainedModel, config: PeftConfig) -> PeftModel:
    """A model whose tokens have been trained, as it were."""
    with quiet(), torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(6)
        attached = get_peft_model(model, config)
        for name, tensor in attached.named_parameters():
            if "trainable_tokens_delta" in name:
                tensor.add_(0.1 * torch.randn_like(tensor))
    return attached.eval()


@pytest.mark.parametrize("make", [small_model, tied])
@pytest.mark.parametrize("kind", TOKENS)
def test_tokens_that_are_trained_are_rows_of_the_embedding_in_memory_and_in_a_folder(
    tmp_path: Path, make: Callable[[], PreTrainedModel], kind: str
) -> None:
    ids, model = torch.arange(24).reshape(2, 12), make()
    attached = with_other_tokens(make(), TOKENS[kind]())
    with torch.inference_mode():
        wanted = attached(input_ids=ids).logits
    attached.save_pretrained(str(tmp_path), save_embedding_layers=False)
    before = bits(model)
    live, stored = update_of(attached), read_adapter(tmp_path, model)
    assert same_bits(bits(model), before) and trace_free(model)
    with quiet():
        merged = dict(attached.merge_and_unload().named_parameters())
    for update in (live, stored):
        rows = update["model.embed_tokens.weight"].dense()
        assert rows.any(dim=1).nonzero().flatten().tolist() == [1, 5, 9]
        assert [name for name in update if "q_proj" not in name] == ["model.embed_tokens.weight"]
        with update.added_to(model), torch.inference_mode():
            for name in update:
                torch.testing.assert_close(model.get_parameter(name), merged[name], rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(model(input_ids=ids).logits, wanted, rtol=1e-4, atol=2e-5)


def test_tokens_of_head_and_embedding_may_differ_where_their_weights_do() -> None:
    ids, model = torch.arange(24).reshape(2, 12), small_model()
    attached = with_other_tokens(small_model(), LoraConfig(**LORA, trainable_token_indices=ON_BOTH))
    update = update_of(attached)
    assert update["lm_head.weight"].dense().any(dim=1).nonzero().flatten().tolist() == [2]
    with update.added_to(model), torch.inference_mode():
        torch.testing.assert_close(model(input_ids=ids).logits, attached(input_ids=ids).logits, rtol=1e-4, atol=2e-5)


def test_tokens_that_one_of_two_tied_layers_reads_are_no_change_of_their_weight() -> None:
    attached = with_other_tokens(tied(), LoraConfig(**LORA, trainable_token_indices=ON_BOTH))
    with pytest.raises(NotMeasurable) as caught:
        update_of(attached)
    assert str(caught.value) == (
        "'model.embed_tokens' shares its weight with another layer, which does not read the tokens trained there: no "
        "change of the one weight does what the adapter does"
    )


def test_an_adapter_of_no_tokens_is_not_measurable(tmp_path: Path, model: PreTrainedModel) -> None:
    attached = with_other_tokens(small_model(), TrainableTokensConfig())
    attached.save_pretrained(str(tmp_path), save_embedding_layers=False)
    before = bits(model)
    for read in (lambda: update_of(attached), lambda: read_adapter(tmp_path, model)):
        with pytest.raises(NotMeasurable) as caught:
            read()
        assert str(caught.value) == (
            "no token of 'model.embed_tokens' is trained: token_indices is empty, and peft cannot run the model"
        )
    assert same_bits(bits(model), before) and trace_free(model)


@pytest.mark.parametrize("make", [small_model, tied])
@pytest.mark.parametrize("module", ["embed_tokens", "lm_head"])
@pytest.mark.filterwarnings("ignore:Model (has|with) `tie_word_embeddings=True`")
def test_a_module_that_was_trained_whole_does_not_stay_in_the_base(
    tmp_path: Path, make: Callable[[], PreTrainedModel], module: str
) -> None:
    model = make()
    with quiet(), torch.no_grad():
        attached = get_peft_model(make(), LoraConfig(**LORA, modules_to_save=[module]))
        for name, tensor in attached.named_parameters():
            if "modules_to_save" in name:
                tensor.add_(1)
    attached.save_pretrained(str(tmp_path), save_embedding_layers=False)
    before, modules = bits(model), dict(model.named_modules())
    change = next(change for name, change in read_adapter(tmp_path, model).items() if module in name)
    torch.testing.assert_close(change.dense(), torch.ones(128, 64), rtol=1e-5, atol=1e-6)
    assert same_bits(bits(model), before) and dict(model.named_modules()) == modules
    with checkpoint_on(tmp_path, model) as tuned:
        assert module in "".join(name for name, _ in tuned.named_parameters() if "modules_to_save" in name)
    assert same_bits(bits(model), before) and dict(model.named_modules()) == modules


def test_layers_that_keep_their_weights_turned_round_are_understood() -> None:
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, n_positions=32)).eval()
    config = LoraConfig(init_lora_weights=False, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)
    ids = torch.arange(20).reshape(2, 10)
    with quiet():
        attached = get_peft_model(copy.deepcopy(gpt), config)
    with torch.inference_mode():
        wanted = attached.eval()(input_ids=ids).logits
        update = update_of(attached)
        assert update.norm() > 0.1
        with update.added_to(gpt):
            torch.testing.assert_close(gpt(input_ids=ids).logits, wanted, rtol=1e-4, atol=2e-5)


def test_prompt_learning_changes_no_weight(model: PreTrainedModel) -> None:
    attachment = tuner("prompt_tuning", num_virtual_tokens=3).attach(model)
    with pytest.raises(NotMeasurable) as caught:
        update_of(attachment.model)
    assert str(caught.value) == "prompt_tuning adds virtual tokens and changes no weight"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lily", "This method is not supported for Lily."),
        ("beft", "Base layer has no bias, cannot merge bias adapter default"),
    ],
)
@pytest.mark.filterwarnings("ignore:Detected that the base layer has no bias term")
def test_a_tuner_that_cannot_be_merged_is_not_measurable(
    tmp_path: Path, model: PreTrainedModel, name: str, said: str
) -> None:
    attachment = moved(tuner(name), small_model())
    attachment.save(tmp_path)
    live, before = bits(attachment.model), bits(model)
    for read in (attachment.update, lambda: read_adapter(tmp_path, model)):
        with pytest.raises(NotMeasurable) as caught:
            read()
        assert str(caught.value) == f"peft.tuners.{name}.layer layers cannot be merged into weights: {said}"
    assert same_bits(bits(attachment.model), live)
    assert same_bits(bits(model), before) and trace_free(model)


def test_two_adapters_at_once_have_no_update_of_their_own(model: PreTrainedModel) -> None:
    with quiet():
        attached = get_peft_model(model, LoraConfig(target_modules=["q_proj"]))
        attached.add_adapter("second", LoraConfig(target_modules=["q_proj"]))
        attached.base_model.set_adapter(["default", "second"])
    with pytest.raises(NotMeasurable, match=r"'.*q_proj' has 2 active adapters; the update of one is asked for"):
        update_of(attached)


def test_only_a_folder_with_a_configuration_of_an_adapter_is_one(saved: Saved, tmp_path: Path) -> None:
    assert is_adapter(saved(Lora())[0])
    assert not is_adapter(tmp_path)


def refused(folder: Path, model: PreTrainedModel) -> HoldfastError:
    """The error for an adapter that cannot be put on a model, which is left as it was."""
    model.model.norm.weight.requires_grad_(False)
    before = bits(model)
    with pytest.raises(HoldfastError) as caught:
        read_adapter(folder, model)
    assert same_bits(bits(model), before) and trace_free(model)
    with torch.inference_mode():
        model(input_ids=torch.arange(5)[None])
    return caught.value


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"peft_type": "NONSENSE"}', '{"peft_type": "LORA", "r": "many"}']
)
def test_a_damaged_configuration_is_named(saved: Saved, model: PreTrainedModel, text: str) -> None:
    folder, _ = saved(Lora())
    (folder / CONFIG).write_text(text, encoding="utf-8")
    error = refused(folder, model)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error).startswith(f"{folder / CONFIG} is not an adapter configuration: ")


def test_weights_that_are_cut_off_are_named(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])
    error = refused(folder, model)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error).startswith(f"{folder / WEIGHTS} is cut off or damaged ({len(content) // 2} bytes on disk; ")


def test_weights_that_are_missing_are_named(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    (folder / WEIGHTS).unlink()
    error = refused(folder, model)
    assert isinstance(error, DamagedCheckpoint)
    assert WEIGHTS in str(error)


def test_weights_in_a_pickle_are_refused(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()
    error = refused(folder, model)
    assert isinstance(error, UnsafeFile)
    assert str(error) == (
        f"{folder} holds its weights in adapter_model.bin, a pickle, which can run code when opened; "
        "save the model with safe_serialization=True, or pass --allow_pickle if you trust its origin"
    )


def test_weights_in_a_trusted_pickle_are_those_of_the_safe_file(
    saved: Saved, model: PreTrainedModel, inputs: Tensor
) -> None:
    folder, wanted = saved(Lora())
    safe = read_adapter(folder, model)
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()
    before = bits(model)
    trusted = read_adapter(folder, model, allow_pickle=True)
    assert list(trusted) == list(safe)
    assert all(torch.equal(change.dense(), safe[name].dense()) for name, change in trusted.items())
    with checkpoint_on(folder, model, allow_pickle=True) as tuned, torch.inference_mode():
        torch.testing.assert_close(tuned(input_ids=inputs).logits, wanted, rtol=1e-4, atol=2e-5)
    assert same_bits(bits(model), before)


def test_weights_without_any_tensor_are_refused(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    save_file({}, folder / WEIGHTS)
    error = refused(folder, model)
    assert isinstance(error, DamagedCheckpoint) and str(error) == f"{folder / WEIGHTS} holds no tensors"


def test_weights_that_lack_a_tensor_are_refused_and_never_made_up(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    tensors = load_file(folder / WEIGHTS)
    gone = "base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"
    del tensors[gone]
    save_file(tensors, folder / WEIGHTS)
    error = refused(folder, model)
    assert isinstance(error, DamagedCheckpoint)
    assert str(error) == f"{folder / WEIGHTS} lacks '{gone}' (1 in all), which {CONFIG} asks for"


@pytest.mark.parametrize("spec", ["lora", "oft", "ia3", "peft:loha"])
@pytest.mark.parametrize("changes", [{"hidden_size": 32, "head_dim": 8}, {"num_hidden_layers": 1}], ids=str)
def test_an_adapter_of_another_base_is_refused(saved: Saved, spec: str, changes: dict[str, int]) -> None:
    folder, _ = saved(ADAPTERS[spec])
    error = refused(folder, llama(**changes))
    assert isinstance(error, IncompatibleUpdate)
    assert str(error).startswith(f"the adapter in {folder} ")


def test_an_adapter_of_a_deeper_base_names_what_has_no_place(saved: Saved) -> None:
    folder, _ = saved(Lora())
    assert str(refused(folder, llama(num_hidden_layers=1))) == (
        f"the adapter in {folder} holds 'base_model.model.model.layers.1.mlp.down_proj.lora_A.weight' (14 in all), "
        "for which this base model has no place"
    )


def test_an_adapter_of_another_architecture_is_refused(saved: Saved) -> None:
    folder, _ = saved(Lora())
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2, n_positions=32))
    before = bits(gpt)
    with pytest.raises(IncompatibleUpdate, match="does not fit this base model"):
        load_adapter(folder, gpt)
    assert same_bits(bits(gpt), before) and trace_free(gpt)


def test_a_configuration_of_a_newer_peft_is_read_with_its_warning(saved: Saved, model: PreTrainedModel) -> None:
    folder, _ = saved(Lora())
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(json.dumps({**config, "from_the_future": 1}), encoding="utf-8")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert len(read_adapter(folder, model)) == 14
    assert any("from_the_future" in str(warning.message) for warning in heard)
