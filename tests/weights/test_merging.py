"""A live adapter becomes the update that merging it would make, whatever its tuner, and is left as it was."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import AdaptionPromptConfig, LoraConfig, PeftConfig, PeftModel, TrainableTokensConfig, get_peft_model
from small import ADAPTERS, bits, moved, same_bits, tuner
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from holdfast.algebra.low_rank import LowRank
from holdfast.algebra.rotation import Rotation
from holdfast.core.errors import NotMeasurable
from holdfast.methods.oft import Oft
from holdfast.testing.laws import small_model
from holdfast.weights.adapter import read_adapter
from holdfast.weights.loading import checkpoint_on
from holdfast.weights.merging import update_of
from holdfast.weights.quiet import quiet


def tied() -> PreTrainedModel:
    """The small model with one weight for embedding and head."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(LlamaConfig(**{**small_model().config.to_dict(), "tie_word_embeddings": True})).eval()


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
    assert same_bits(bits(model), before)
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
    assert same_bits(bits(model), before)


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
    assert same_bits(bits(model), before)


def test_two_adapters_at_once_have_no_update_of_their_own(model: PreTrainedModel) -> None:
    with quiet():
        attached = get_peft_model(model, LoraConfig(target_modules=["q_proj"]))
        attached.add_adapter("second", LoraConfig(target_modules=["q_proj"]))
        attached.base_model.set_adapter(["default", "second"])
    with pytest.raises(NotMeasurable, match=r"'.*q_proj' has 2 active adapters; the update of one is asked for"):
        update_of(attached)


def test_an_adapter_beside_the_layers_changes_no_weight_and_leaves_the_base(
    tmp_path: Path, model: PreTrainedModel
) -> None:
    ids, before, modules = torch.arange(8)[None], bits(model), dict(model.named_modules())
    with quiet():
        config = AdaptionPromptConfig(adapter_len=3, adapter_layers=2, task_type="CAUSAL_LM")
        attached = get_peft_model(small_model(), config).eval()
    with torch.no_grad():
        for name, tensor in attached.named_parameters():
            if "adaption" in name:
                tensor.add_(0.5)
    attached.save_pretrained(str(tmp_path))
    for read in (lambda: update_of(attached), lambda: read_adapter(tmp_path, model)):
        with pytest.raises(NotMeasurable) as caught:
            read()
        assert str(caught.value) == "adaption_prompt acts beside the layers of the base and changes no weight"
    with checkpoint_on(tmp_path, model) as tuned, torch.inference_mode():
        assert torch.equal(tuned(input_ids=ids).logits, attached(input_ids=ids).logits)
    assert same_bits(bits(model), before) and dict(model.named_modules()) == modules


@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed but the targeted layer")
def test_a_bias_that_is_added_where_there_is_none_has_no_weight_to_be_in(model: PreTrainedModel) -> None:
    with quiet():
        attached = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], lora_bias=True))
    with pytest.raises(NotMeasurable) as caught:
        update_of(attached)
    assert str(caught.value) == (
        "'model.layers.0.self_attn.q_proj' has no bias, and lora_bias adds one to what it answers: no weight can hold "
        "that"
    )


@pytest.mark.parametrize("bias", ["all", "lora_only"])
def test_biases_of_the_base_are_not_told_by_a_live_model_alone(biased: PreTrainedModel, bias: str) -> None:
    with quiet():
        attached = get_peft_model(biased, LoraConfig(r=4, target_modules=["q_proj"], bias=bias))
    with pytest.raises(NotMeasurable) as caught:
        update_of(attached)
    assert str(caught.value) == (
        "lora trains biases of the base itself, and what they were cannot be seen in the model: save the adapter, and "
        "read its folder on the base as it was"
    )


def test_a_base_without_biases_has_none_that_could_have_been_trained(model: PreTrainedModel) -> None:
    with quiet():
        attached = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], bias="all"))
    assert len(update_of(attached)) == 2


def trained(model: PreTrainedModel, config: PeftConfig) -> PeftModel:
    """An adapter whose every tensor has moved."""
    with quiet(), torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(6)
        attached = get_peft_model(model, config)
        for tensor in attached.parameters():
            if tensor.requires_grad:
                tensor.add_(0.1 * torch.randn_like(tensor))
    return attached.eval()


APART = {
    "head": {"target_modules": ["q_proj", "lm_head"]},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "both": {"target_modules": ["embed_tokens", "lm_head"]},
    "head whole": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "embedding whole": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
}
ALIKE = {
    "low rank": {"target_modules": ["q_proj", "embed_tokens"], "ensure_weight_tying": True},
    "whole": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
    "neither": {"target_modules": ["q_proj"]},
}
TIED = pytest.mark.filterwarnings(
    "ignore:Model (has|with) `tie_word_embeddings=True`", "ignore:.*save_embedding_layers"
)


@TIED
@pytest.mark.parametrize("options", APART.values(), ids=APART)
def test_layers_that_share_a_weight_and_move_apart_are_told_and_not_merged(options: dict[str, list[str]]) -> None:
    update, model = update_of(trained(tied(), LoraConfig(r=4, **options))), tied()
    before = bits(model)
    assert update.apart == (("model.embed_tokens.weight", "lm_head.weight"),)
    with pytest.raises(NotMeasurable) as caught, update.added_to(model):
        pytest.fail("the block was entered")
    assert str(caught.value) == (
        "the update cannot be written into the weights of this model: 'model.embed_tokens.weight' and 'lm_head.weight' "
        "are one weight of the base, and the adapter moves them apart"
    )
    assert same_bits(bits(model), before)


@TIED
@pytest.mark.parametrize("options", ALIKE.values(), ids=ALIKE)
def test_layers_that_share_a_weight_and_move_alike_are_one(options: dict[str, list[str]], inputs: Tensor) -> None:
    attached, model = trained(tied(), LoraConfig(r=4, **options)), tied()
    update = update_of(attached)
    assert not update.apart and "lm_head.weight" not in update
    with update.added_to(model), torch.inference_mode():
        wanted = attached(input_ids=inputs).logits
        torch.testing.assert_close(model(input_ids=inputs).logits, wanted, rtol=1e-4, atol=2e-5)


@TIED
@pytest.mark.parametrize("options", APART.values(), ids=APART)
def test_what_moves_apart_can_be_merged_where_the_weights_are_two(
    options: dict[str, list[str]], inputs: Tensor
) -> None:
    attached, model = trained(tied(), LoraConfig(r=4, **options)), tied()
    untied = LlamaForCausalLM(LlamaConfig(**{**model.config.to_dict(), "tie_word_embeddings": False})).eval()
    untied.load_state_dict(model.state_dict())
    with update_of(attached).added_to(untied), torch.inference_mode():
        wanted = attached(input_ids=inputs).logits
        torch.testing.assert_close(untied(input_ids=inputs).logits, wanted, rtol=1e-4, atol=2e-5)
