"""A sweep takes down what modules say and read, token for token, and leaves nothing behind."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from small import Bits, bits, moved, same_bits, tuner
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from holdfast.core.errors import BadData, NotMeasurable, UnknownName
from holdfast.methods.lora import Lora
from holdfast.probes.sites import modules_at
from holdfast.probes.sweep import Side, Taken, sweep
from holdfast.probes.tokens import TokenChoice
from holdfast.weights.quiet import quiet

EVERY_TOKEN = TokenChoice(tokens=None, skipped=0)
FOUR = TokenChoice(tokens=4)
QUERY, KEY, VALUE = (f"model.layers.0.self_attn.{name}_proj" for name in "qkv")
GATE, DOWN = "model.layers.0.mlp.gate_proj", "model.layers.1.mlp.down_proj"
SITES = (DOWN, QUERY, GATE)


def some_prompts(count: int = 9, longest: int = 17, seed: int = 2) -> list[tuple[int, ...]]:
    source = random.Random(seed)
    lengths = [longest, *(source.randint(6, longest) for _ in range(count - 1))]
    return [tuple(source.randrange(3, 128) for _ in range(length)) for length in lengths]


@pytest.fixture
def prompts() -> list[tuple[int, ...]]:
    return some_prompts()


def alone(model: PreTrainedModel, ids: Sequence[int], site: str, side: Side) -> Tensor:
    """What a module says or reads when one prompt is run by itself, without padding, to the end."""
    seen = []
    hook = modules_at(model, [site])[site].register_forward_hook(
        lambda module, args, out: seen.append((out if side == "outputs" else args[0])[0, -len(ids) :])
    )
    with torch.no_grad():
        model.eval()(input_ids=torch.tensor([list(ids)]), use_cache=False)
    hook.remove()
    (found,) = seen
    return found


def hooks_of(model: nn.Module) -> list[int]:
    return [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()]


@pytest.fixture
def untouched(model: PreTrainedModel) -> Iterator[None]:
    """Fails a test that leaves the model changed: its bits, buffers, modes or hooks."""

    def state() -> tuple[Bits, list[Tensor], list[bool], list[int]]:
        buffers = [buffer.clone() for buffer in model.buffers()]
        return bits(model), buffers, [module.training for module in model.modules()], hooks_of(model)

    before = state()
    yield
    after = state()
    assert same_bits(before[0], after[0])
    assert all(torch.equal(*pair) for pair in zip(before[1], after[1], strict=True))
    assert before[2:] == after[2:]


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("side", ["outputs", "inputs"])
@pytest.mark.parametrize("max_rows", [1, 4, 100])
def test_a_sweep_takes_down_what_each_prompt_gives_by_itself(
    model: PreTrainedModel, prompts: list[tuple[int, ...]], side: Side, max_rows: int
) -> None:
    found = list(sweep(model, prompts, SITES, side=side, choice=EVERY_TOKEN, max_rows=max_rows))
    assert sorted(each.prompt for each in found) == list(range(len(prompts)))
    for each in found:
        ids = prompts[each.prompt]
        assert sorted(each.positions) == list(range(len(ids)))
        assert tuple(each.rows) != ()
        for site in SITES:
            wanted = alone(model, ids, site, side)[list(each.positions)]
            torch.testing.assert_close(each.rows[site], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("untouched")
def test_padding_on_the_other_side_gives_the_same_rows(model: PreTrainedModel, prompts: list[tuple[int, ...]]) -> None:
    width = max(map(len, prompts))
    ids, mask = torch.zeros(2, len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :], mask[row, width - len(prompt) :] = torch.tensor(prompt), 1
    seen: list[Tensor] = []
    hook = model.get_submodule(DOWN).register_forward_hook(lambda module, args, out: seen.append(out))
    with torch.no_grad():
        model(input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0))
    hook.remove()
    for each in sweep(model, prompts, [DOWN], choice=FOUR):
        start = width - len(prompts[each.prompt])
        wanted = seen[0][each.prompt, [start + at for at in each.positions]]
        torch.testing.assert_close(each.rows[DOWN], wanted, rtol=1e-5, atol=1e-5)


def by_content(taken: Sequence[Taken]) -> dict[str, Taken]:
    return {each.key: each for each in taken}


@pytest.mark.usefixtures("untouched")
def test_neither_the_order_of_prompts_nor_their_batches_choose_the_tokens(
    model: PreTrainedModel, prompts: list[tuple[int, ...]]
) -> None:
    one = list(sweep(model, prompts, SITES, choice=FOUR))
    other = by_content(list(sweep(model, prompts[::-1][:6], SITES, max_rows=2, max_tokens=40, choice=FOUR)))
    assert {len(each.positions) for each in one} == {4}
    assert len(other) == 6
    for each in one:
        if each.key in other:
            again = other[each.key]
            assert again.positions == each.positions
            assert again.prompt == len(prompts) - 1 - each.prompt
            for site in SITES:
                torch.testing.assert_close(again.rows[site], each.rows[site], rtol=1e-5, atol=1e-5)


class Stops(nn.Module):
    """Stands where the pass should never come to."""

    def forward(self, *args: Any, **given: Any) -> Tensor:
        raise AssertionError("the pass went deeper than it had to")


@pytest.mark.parametrize(("side", "deepest"), [("outputs", QUERY), ("inputs", QUERY), ("outputs", GATE)])
def test_a_pass_goes_no_deeper_than_the_deepest_site(
    model: PreTrainedModel, prompts: list[tuple[int, ...]], side: Side, deepest: str
) -> None:
    model.model.layers[1] = Stops()
    model.model.layers[0].mlp.down_proj = Stops()
    model.lm_head = Stops()
    sites = ["model.embed_tokens", deepest] if side == "outputs" else [deepest]
    assert len(list(sweep(model, prompts, sites, side=side, choice=FOUR))) == 9


@pytest.mark.usefixtures("untouched")
def test_batches_are_longest_first_and_within_both_limits(
    model: PreTrainedModel, prompts: list[tuple[int, ...]]
) -> None:
    shapes: list[tuple[int, int]] = []
    hook = model.model.embed_tokens.register_forward_hook(lambda m, args, out: shapes.append(tuple(out.shape[:2])))
    ticks: list[int] = []
    order = [
        each.prompt
        for each in sweep(model, prompts, [QUERY], max_rows=4, max_tokens=40, tick=ticks.append, choice=FOUR)
    ]
    hook.remove()
    assert [len(prompts[index]) for index in order] == sorted(map(len, prompts), reverse=True)
    assert shapes[0] == (2, 17)
    assert all(rows <= 4 and rows * width <= 40 for rows, width in shapes)
    assert ticks == [rows for rows, _ in shapes]
    assert sum(ticks) == 9
    assert len(list(sweep(model, prompts, [QUERY], max_tokens=1, choice=FOUR))) == 9


@pytest.mark.usefixtures("untouched")
def test_batches_are_run_as_they_are_asked_for_and_leave_no_hook_in_between(
    model: PreTrainedModel, prompts: list[tuple[int, ...]]
) -> None:
    passes: list[None] = []
    watch = model.model.embed_tokens.register_forward_hook(lambda module, args, out: passes.append(None))
    before = hooks_of(model)
    taking = sweep(model, prompts, SITES, max_rows=2, choice=FOUR)
    assert not passes
    next(taking)
    assert (len(passes), hooks_of(model)) == (1, before)
    del taking
    watch.remove()


def test_a_sweep_measures_without_dropout_and_gives_the_mode_back(prompts: list[tuple[int, ...]]) -> None:
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config(vocab_size=128, n_positions=64, n_embd=32, n_layer=2, n_head=4)).train()
    model.transformer.h[1].eval()
    site = "transformer.h.1.mlp.c_proj"
    one, other = (list(sweep(model, prompts, [site], choice=EVERY_TOKEN)) for _ in range(2))
    assert model.training
    assert model.transformer.h[0].attn.training
    assert not model.transformer.h[1].mlp.training
    model.eval()
    for each, again in zip(one, other, strict=True):
        assert torch.equal(each.rows[site], again.rows[site])
        wanted = alone(model, prompts[each.prompt], site, "outputs")[list(each.positions)]
        torch.testing.assert_close(each.rows[site], wanted, rtol=1e-5, atol=1e-5)


class Breaks(Exception):
    pass


@pytest.mark.usefixtures("untouched")
def test_a_pass_that_breaks_leaves_the_model_as_it_was(model: PreTrainedModel, prompts: list[tuple[int, ...]]) -> None:
    def break_down(*given: Any) -> None:
        raise Breaks

    model.train()
    hook = model.model.layers[1].register_forward_pre_hook(break_down)
    before = hooks_of(model)
    with pytest.raises(Breaks):
        list(sweep(model, prompts, SITES, choice=FOUR))
    assert hooks_of(model) == before
    assert model.training
    hook.remove()
    model.eval()


@pytest.mark.usefixtures("untouched")
def test_what_is_taken_down_is_no_part_of_a_graph_and_fit_for_training(
    model: PreTrainedModel, prompts: list[tuple[int, ...]]
) -> None:
    with torch.inference_mode():
        found = list(sweep(model, prompts, SITES, choice=FOUR))
    for each in found:
        assert not each.rows[DOWN].requires_grad
        assert not each.rows[DOWN].is_inference()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_rows_are_widened_and_never_narrowed(
    model: PreTrainedModel, prompts: list[tuple[int, ...]], dtype: torch.dtype
) -> None:
    model.to(dtype)
    (found, *_) = sweep(model, prompts, [QUERY], choice=FOUR)
    assert found.rows[QUERY].dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    wanted = alone(model, prompts[found.prompt], QUERY, "outputs")[list(found.positions)]
    torch.testing.assert_close(found.rows[QUERY].to(dtype), wanted, rtol=2e-2, atol=2e-2)


def test_what_several_modules_read_is_taken_down_once(model: PreTrainedModel, prompts: list[tuple[int, ...]]) -> None:
    sites = (QUERY, KEY, VALUE, GATE, "model.layers.0.mlp.up_proj", DOWN)
    for each in sweep(model, prompts, sites, side="inputs", choice=FOUR):
        assert each.rows[QUERY] is each.rows[KEY] is each.rows[VALUE]
        assert each.rows[GATE] is each.rows["model.layers.0.mlp.up_proj"]
        assert len({id(rows) for rows in each.rows.values()}) == 3
    for each in sweep(model, prompts, sites, choice=FOUR):
        assert len({id(rows) for rows in each.rows.values()}) == 6


class Overwrites(nn.Module):
    """A model that writes to a tensor between the two modules that read it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.first, self.second = nn.Embedding(128, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool) -> Tensor:
        hidden = self.embed(input_ids)
        self.first(hidden)
        hidden.mul_(2)
        out: Tensor = self.second(hidden)
        return out


@pytest.mark.parametrize("outside", [torch.no_grad, torch.inference_mode])
def test_a_tensor_that_was_written_to_in_between_is_taken_down_again(
    prompts: list[tuple[int, ...]], outside: Callable[[], Any]
) -> None:
    with outside():
        for each in sweep(Overwrites(), prompts, ["first", "second"], side="inputs", choice=FOUR):
            torch.testing.assert_close(each.rows["second"], 2 * each.rows["first"])


class LooksAround(nn.Module):
    """A model in which every token sees all others of its prompt, and one module runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.last = nn.Embedding(128, 4), nn.Linear(4, 4), nn.Identity()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool) -> Tensor:
        hidden, mask = self.embed(input_ids), attention_mask[..., None]
        hidden = self.mix(hidden + (hidden * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True))
        out: Tensor = self.last(self.mix(hidden))
        return out


def test_padding_is_masked_and_a_module_that_runs_twice_is_read_the_first_time(
    prompts: list[tuple[int, ...]],
) -> None:
    model = LooksAround()
    for each in sweep(model, prompts, ["mix", "last"], choice=FOUR):
        embedded = model.embed(torch.tensor(prompts[each.prompt]))
        first = model.mix(embedded + embedded.mean(0))[list(each.positions)]
        torch.testing.assert_close(each.rows["mix"], first.detach())
        torch.testing.assert_close(each.rows["last"], model.mix(first).detach())


@pytest.mark.parametrize("name", ["lora", "prompt_tuning", "prefix_tuning"])
def test_a_tuned_model_is_read_under_the_names_of_its_base(
    model: PreTrainedModel, prompts: list[tuple[int, ...]], name: str
) -> None:
    method = Lora() if name == "lora" else tuner(name, num_virtual_tokens=5)
    base = [next(sweep(model, [prompt], [DOWN], choice=FOUR)).rows[DOWN] for prompt in prompts]
    with quiet():
        attachment = moved(method, model, by=0.1)
    for each in sweep(attachment.model, prompts, [DOWN], choice=FOUR):
        wanted = alone(attachment.model, prompts[each.prompt], DOWN, "outputs")[list(each.positions)]
        torch.testing.assert_close(each.rows[DOWN], wanted, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(each.rows[DOWN], base[each.prompt], rtol=1e-3, atol=1e-3)
    attachment.detach()


def test_modules_that_hand_on_several_things_are_read_by_the_first(
    model: PreTrainedModel, prompts: list[tuple[int, ...]]
) -> None:
    site = "model.layers.0.self_attn"
    for each in sweep(model, prompts, [site, f"{site}.o_proj"], choice=FOUR):
        assert torch.equal(each.rows[site], each.rows[f"{site}.o_proj"])
    for each in sweep(model, prompts, [site, QUERY], side="inputs", choice=FOUR):
        assert torch.equal(each.rows[site], each.rows[QUERY])


@pytest.mark.usefixtures("untouched")
def test_a_number_that_is_not_finite_is_refused_with_its_site_and_prompt(
    model: PreTrainedModel, prompts: list[tuple[int, ...]]
) -> None:
    bad = prompts[5]

    def spoil(module: nn.Module, args: Any, out: Tensor) -> Tensor:
        spoilt = out.clone()
        rows = [row for row in range(len(out)) if ids_of[-1][row, : len(bad)].tolist() == list(bad)]
        spoilt[rows, :, 3] = torch.inf
        return spoilt

    ids_of: list[Tensor] = []
    hooks = [
        model.model.embed_tokens.register_forward_pre_hook(lambda module, args: ids_of.append(args[0])),
        model.get_submodule(QUERY).register_forward_hook(spoil),
    ]
    with pytest.raises(NotMeasurable) as caught:
        list(sweep(model, prompts, [QUERY, GATE], max_rows=3, choice=FOUR))
    assert str(caught.value) == (
        f"'{QUERY}' is not finite on prompt 5 (4 of 12 tokens of its batch); "
        "run the model in float32 or bfloat16, or look for where it breaks"
    )
    for hook in hooks:
        hook.remove()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("site", "side", "found"),
    [("model.rotary_emb", "outputs", "a tensor of shape (1, 17, 16)"), ("model", "inputs", "a tensor of shape")],
)
def test_modules_without_a_row_for_each_token_are_refused(
    model: PreTrainedModel, prompts: list[tuple[int, ...]], site: str, side: Side, found: str
) -> None:
    with pytest.raises(NotMeasurable) as caught:
        list(sweep(model, prompts, [site], side=side, max_rows=2, choice=FOUR))
    assert str(caught.value).startswith(f"'{site}' has {found}")
    assert str(caught.value).endswith("for 2 prompts of 17 tokens: choose a module with a row for each token")


@pytest.mark.usefixtures("untouched")
def test_modules_that_take_no_part_are_named(model: PreTrainedModel, prompts: list[tuple[int, ...]]) -> None:
    model.spare = nn.Linear(3, 3)
    with pytest.raises(NotMeasurable) as caught:
        list(sweep(model, prompts, [QUERY, "spare"], choice=FOUR))
    assert str(caught.value) == "'spare' took no part in the pass: choose a module that every token goes through"
    del model.spare


@pytest.mark.usefixtures("untouched")
def test_prompts_longer_than_the_model_reads_are_refused(model: PreTrainedModel) -> None:
    longest = model.config.max_position_embeddings
    whole = tuple(3 + at % 100 for at in range(longest))
    assert len(list(sweep(model, [whole], [QUERY], choice=FOUR))) == 1
    with pytest.raises(BadData) as caught:
        sweep(model, [whole, (*whole, 5), whole[:9], (*whole, 5, 6)], [QUERY], choice=FOUR)
    assert str(caught.value) == (
        f"2 of 4 prompts have more than the {longest} tokens that the model reads (the longest has {longest + 2}); "
        "cut them into pieces, or leave them out"
    )


def test_virtual_tokens_take_up_some_of_what_the_model_reads(model: PreTrainedModel) -> None:
    longest = model.config.max_position_embeddings
    tuned = moved(tuner("prompt_tuning", num_virtual_tokens=5), model).model
    whole = tuple(3 + at % 100 for at in range(longest - 5))
    assert len(list(sweep(tuned, [whole], [QUERY], choice=FOUR))) == 1
    with pytest.raises(BadData) as caught:
        sweep(tuned, [(*whole, 5)], [QUERY], choice=FOUR)
    assert str(caught.value) == (
        f"1 of 1 prompts have more than the {longest - 5} tokens that the model reads after its 5 virtual ones (the "
        f"longest has {longest - 4}); cut them into pieces, or leave them out"
    )


@pytest.mark.usefixtures("untouched")
def test_faults_are_found_before_anything_is_run(model: PreTrainedModel, prompts: list[tuple[int, ...]]) -> None:
    with pytest.raises(UnknownName) as unknown:
        sweep(model, prompts, ["model.layers.0.mlp.downproj"], choice=FOUR)
    assert str(unknown.value) == (
        "unknown module 'model.layers.0.mlp.downproj': did you mean 'model.layers.0.mlp.down_proj'?"
    )
    with pytest.raises(NotMeasurable) as nothing:
        sweep(model, prompts, [], choice=FOUR)
    assert str(nothing.value) == "no module was chosen: name at least one"
    with pytest.raises(BadData) as short:
        sweep(model, [*prompts, (5, 6), (7,)], [QUERY], choice=FOUR)
    assert str(short.value) == (
        "2 of 11 prompts have fewer than 4 tokens after the first 1 (the shortest has 0); "
        "choose fewer tokens of each, or leave short prompts out"
    )
    with pytest.raises(BadData) as empty:
        sweep(model, [], [QUERY], choice=FOUR)
    assert str(empty.value) == "there is no prompt to be read; give at least one"
