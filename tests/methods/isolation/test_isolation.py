"""Between two choices held scalars stay where they are, bit for bit, whatever moves them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from rivals import OPTIMIZERS, Loop, same
from torch import Tensor, nn

from holdfast.core.errors import BadData, DamagedCheckpoint, HoldfastError, NotMeasurable, RecipeError
from holdfast.methods.epi import Epi
from holdfast.methods.inverse_mask import InverseMask
from holdfast.methods.isolation.isolation import Isolation
from holdfast.methods.isolation.optimizers import guardable
from holdfast.methods.static import Static
from holdfast.testing.laws import small_model
from holdfast.weights.material import Material


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: before[name] != after[name] for name in before}


@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("ratio", [0.01, 0.2, 0.7])
def test_held_scalars_keep_their_bits_between_choices(build: Any, ratio: float) -> None:
    trained = Loop(build).isolate(Epi(ratio=ratio, first_refresh=2, interval=3))
    trained.run(0, 2)
    for end in (5, 8):
        held, before = trained.isolation.mask(), trained.weights()
        trained.run(end - 3, end)
        changed = moved(before, trained.weights())
        eligible = 0
        for name, bits in held.items():
            assert not bool(changed[name][bits.dense()].any())
            eligible += bits.size
        assert held.count() == math.floor(ratio * eligible)
        free = torch.cat([changed[name][~bits.dense()] for name, bits in held.items()])
        assert free.float().mean() > 0.9


def test_before_the_first_choice_everything_moves() -> None:
    trained = Loop().isolate(Epi(ratio=0.2, first_refresh=3, interval=3))
    before = trained.weights()
    trained.run(0, 2)
    assert trained.isolation.mask().count() == 0
    assert all(bool(changed.any()) for name, changed in moved(before, trained.weights()).items())


@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_share_of_zero_is_plain_training_bit_for_bit(build: Any) -> None:
    plain = Loop(build).run(0, 6).weights()
    assert same(plain, Loop(build).isolate(Epi(ratio=0.0, first_refresh=1, interval=2)).run(0, 6).weights())


def test_an_infinite_interval_is_a_mask_that_stands() -> None:
    static = Loop().isolate(Static(ratio=0.05, first_refresh=2))
    static.run(0, 2)
    mask = static.isolation.mask()
    static.run(2, 7)
    assert static.isolation.mask() == mask
    assert static.isolation.history.choices == 1
    # The same by hand: a plain loop that puts fixed positions back.
    twin = Loop().run(0, 2)
    kept = {name: tensor.detach().clone() for name, tensor in twin.model.named_parameters()}
    for step in range(2, 7):
        twin.run(step, step + 1)
        with torch.no_grad():
            for name, tensor in twin.model.named_parameters():
                if name in mask:
                    tensor[mask[name].dense()] = kept[name][mask[name].dense()]
    assert same(static.weights(), twin.weights())


def test_infinite_epi_is_static() -> None:
    evolving = Loop().isolate(Epi(ratio=0.05, first_refresh=2, interval=math.inf)).run(0, 6)
    assert same(evolving.weights(), Loop().isolate(Static(ratio=0.05, first_refresh=2)).run(0, 6).weights())


def test_epi_as_the_paper_writes_it() -> None:
    """The slow twin: squares averaged, min-max in every block, one threshold by a full sort, theta + (1 - M) d."""
    ratio, beta, first, every = 0.03, 0.9, 2, 2
    held = Loop().isolate(Epi(ratio=ratio, beta=beta, first_refresh=first, interval=every)).run(0, 7)
    twin = Loop()
    blocks: dict[str, list[str]] = {}
    for name, tensor in twin.model.named_parameters():
        if ".layers." in name and tensor.ndim == 2:
            blocks.setdefault(name.split(".")[2], []).append(name)
    tensors = dict(twin.model.named_parameters())
    average = {name: torch.zeros_like(tensors[name]) for names in blocks.values() for name in names}
    mask = {name: torch.zeros_like(tensor, dtype=torch.bool) for name, tensor in average.items()}
    for step in range(7):
        twin.backward(step)
        for name in average:
            average[name] = beta * average[name] + (1 - beta) * tensors[name].grad ** 2
        before = twin.weights()
        twin.optimizer.step()
        twin.optimizer.zero_grad()
        with torch.no_grad():
            for name in average:
                tensors[name][mask[name]] = before[name][mask[name]]
        if step + 1 >= first and (step + 1 - first) % every == 0:
            calibrated = {}
            for names in blocks.values():
                low = min(float(average[name].min()) for name in names)
                high = max(float(average[name].max()) for name in names)
                for name in names:
                    calibrated[name] = (average[name] - low) / (high - low)
            flat = torch.cat([calibrated[name].flatten() for name in average])
            keep = math.floor(ratio * len(flat))
            chosen = torch.zeros(len(flat), dtype=torch.bool)
            chosen[flat.argsort(descending=True, stable=True)[:keep]] = True
            parts = chosen.split([average[name].numel() for name in average])
            mask = {name: part.view_as(average[name]) for name, part in zip(average, parts, strict=True)}
    assert {name: bits.count() for name, bits in held.isolation.mask().items()} == {
        name: int(chosen.sum()) for name, chosen in mask.items()
    }
    assert all(torch.equal(bits.dense(), mask[name]) for name, bits in held.isolation.mask().items())
    assert same(held.weights(), twin.weights())


def test_a_training_taken_up_again_ends_as_one_that_was_never_stopped() -> None:
    method = Epi(ratio=0.05, first_refresh=2, interval=2, patience=2, release_ramp=3, moments="freeze")
    whole = Loop().isolate(method).run(0, 8)
    first = Loop().isolate(method).run(0, 5)
    second = Loop()
    second.model.load_state_dict(first.model.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.isolate(method)
    second.isolation.load_state_dict({name: tensor.clone() for name, tensor in first.isolation.state_dict().items()})
    second.run(5, 8)
    assert same(whole.weights(), second.weights())
    assert whole.isolation.mask() == second.isolation.mask()
    one, other = (each.isolation.history.course("epi", 10**6, 0) for each in (whole, second))
    timeless = {"refreshes": tuple(r.model_copy(update={"seconds": 0.0}) for r in one.refreshes)}
    assert one.model_copy(update=timeless) == other.model_copy(
        update={"refreshes": tuple(r.model_copy(update={"seconds": 0.0}) for r in other.refreshes)}
    )


def test_a_state_of_another_model_is_refused() -> None:
    state = Loop().isolate(Epi(first_refresh=1, interval=1)).run(0, 2).isolation.state_dict()
    state["mask.elsewhere"] = state.pop("mask.model.layers.0.self_attn.q_proj.weight")
    with pytest.raises(DamagedCheckpoint, match="does not fit this model"):
        Loop().isolate(Epi()).isolation.load_state_dict(state)


def test_a_state_of_more_processes_is_refused() -> None:
    state = Loop().isolate(Epi(first_refresh=1, interval=1)).run(0, 2).isolation.state_dict()
    state["world"] = torch.tensor(2)
    with pytest.raises(DamagedCheckpoint, match="saved by 2 processes and is resumed by 1"):
        Loop().isolate(Epi()).isolation.load_state_dict(state)


def test_importance_seen_before_clipping_is_that_of_unclipped_training() -> None:
    method = Epi(ratio=0.05, first_refresh=10, interval=2)
    clipped = Loop(clip=0.01, observe=True, accumulate=3).isolate(method).run(0, 1)
    free = Loop(accumulate=3).isolate(method).run(0, 1)
    averages = [
        {key: tensor for key, tensor in each.isolation.state_dict().items() if ".average." in key}
        for each in (clipped, free)
    ]
    assert averages[0] and same(*averages)
    assert "importance was seen as the optimizer saw the gradients: after any clipping" not in clipped.isolation.notes()


def test_without_being_told_it_sees_clipped_gradients_and_says_so() -> None:
    trained = Loop(clip=0.01).isolate(Epi(first_refresh=10, interval=2)).run(0, 1)
    assert "importance was seen as the optimizer saw the gradients: after any clipping" in trained.isolation.notes()
    sums = sum(float(t.sum()) for key, t in trained.isolation.state_dict().items() if ".average." in key)
    assert 0 < sums < 0.01 * 0.01**2 * 1.02  # (1 - beta) times the squared norm at most


def test_a_gradient_mask_does_not_hold_and_an_update_mask_does() -> None:
    for acts, drifts in (("gradient", True), ("update", False)):
        trained = Loop().isolate(Static(ratio=0.05, first_refresh=2, acts=acts)).run(0, 2)
        mask, before = trained.isolation.mask(), trained.weights()
        trained.run(2, 6)
        changed = moved(before, trained.weights())
        share = torch.cat([changed[name][bits.dense()] for name, bits in mask.items()]).float().mean()
        assert share > 0.99 if drifts else share == 0.0
        assert any("gradients are masked" in note for note in trained.isolation.notes()) == drifts


def test_masked_gradients_would_make_the_choice_swing() -> None:
    """Wrong on purpose: an average fed with masked gradients lets everything go that it holds."""
    overlaps = {}
    for masked in (False, True):
        trained = Loop().isolate(Epi(ratio=0.05, beta=0.5, first_refresh=4, interval=4), steps=40)
        if masked:
            rule = trained.isolation._rule
            watch = rule.watch

            def blind(name: str, gradient: Tensor, watch: Any = watch, trained: Any = trained) -> None:
                watch(name, gradient.masked_fill(trained.isolation.mask()[name].dense(), 0))

            rule.watch = blind
        trained.run(0, 24)
        jaccard = trained.isolation.history.course("epi", 10**6, 0).jaccard
        overlaps[masked] = sum(jaccard[i][i + 1] for i in range(len(jaccard) - 1)) / (len(jaccard) - 1)
    assert overlaps[True] < 0.3 * overlaps[False]


def test_detach_lets_everything_move() -> None:
    trained = Loop().isolate(Static(ratio=0.5, first_refresh=1)).run(0, 2)
    trained.isolation.detach()
    before = trained.weights()
    trained.run(2, 3)
    assert all(
        bool(changed.float().mean() > 0.9)
        for name, changed in moved(before, trained.weights()).items()
        if ".layers." in name
    )


def test_only_the_most_sensitive_share_moves_under_the_inverse() -> None:
    trained = Loop().isolate(InverseMask(ratio=0.02, first_refresh=1, interval=100)).run(0, 1)
    before = trained.weights()
    trained.run(1, 4)
    changed = moved(before, trained.weights())
    names = trained.isolation.mask()
    count = sum(int(changed[name].sum()) for name in names)
    size = sum(changed[name].numel() for name in names)
    assert 0.9 * math.floor(0.02 * size) <= count <= math.floor(0.02 * size)


def test_gradient_checkpointing_and_bf16_weights_are_held_too() -> None:
    trained = Loop(model=small_model().bfloat16())
    trained.model.activation_checkpointing_enable()
    trained.isolate(Epi(ratio=0.1, first_refresh=1, interval=2)).run(0, 1)
    mask, before = trained.isolation.mask(), trained.weights()
    trained.run(1, 3)
    changed = moved(before, trained.weights())
    assert mask.count() > 0
    assert not any(bool(changed[name][bits.dense()].any()) for name, bits in mask.items())


def test_an_optimizer_that_is_not_built_is_told() -> None:
    with pytest.raises(HoldfastError, match=r"an optimizer that has been built: attach it after optimizer = AdamW"):
        Epi().isolate(small_model(), None, steps=10)


def test_an_optimizer_with_weights_of_its_own_is_refused() -> None:
    class Engine:
        """As DeepSpeed's optimizers, which are none of torch's."""

    with pytest.raises(HoldfastError, match="Engine cannot be guarded: it keeps copies of the weights of its own"):
        guardable(Engine(), {})


def test_an_optimizer_of_another_model_is_refused() -> None:
    other = torch.optim.AdamW(small_model().parameters())
    with pytest.raises(
        HoldfastError, match=r"does not move 14 of 14 tensors that could be held, such as 'model\.layers"
    ):
        Epi().isolate(small_model(), other, steps=10)


def test_parameters_replaced_after_attaching_are_told() -> None:
    trained = Loop().isolate(Epi(ratio=0.1)).run(0, 1)
    group = trained.optimizer.param_groups[0]
    fresh = [nn.Parameter(tensor.detach().clone()) for tensor in group["params"]]
    group["params"] = fresh
    with pytest.raises(HoldfastError, match=r"has been replaced since isolation was attached"):
        trained.run(1, 2)


def test_values_moved_elsewhere_after_attaching_are_told() -> None:
    trained = Loop().isolate(Epi(ratio=0.1)).run(0, 1)
    trained.model.model.layers[0].double()
    trained.optimizer.state.clear()
    with pytest.raises(HoldfastError, match=r"has been replaced since isolation was attached"):
        trained.model.model.layers[0].float()
        trained.run(1, 2)


def test_importance_on_reference_examples_is_their_mean_squared_gradient() -> None:
    draw = torch.Generator().manual_seed(5)
    batches = [{"input_ids": ids, "labels": ids} for ids in torch.randint(3, 128, (3, 2, 12), generator=draw)]
    trained = Loop()
    method = Static(ratio=0.05, first_refresh=1, importance="reference", reference_batches=2, calibration="none")
    material = Material(source=batches)
    isolation = method.isolate(trained.model, trained.optimizer, steps=4, material=material)
    trained.run(0, 1)
    sums = {name: torch.zeros(bits.shape) for name, bits in isolation.mask().items()}
    trained.model.eval()
    for batch in batches[:2]:
        trained.model.zero_grad()
        trained.model(**batch).loss.backward()
        for name, tensor in trained.model.named_parameters():
            if name in sums:
                sums[name] += tensor.grad**2
    flat = torch.cat([each.flatten() for each in sums.values()])
    chosen = flat >= flat.sort(descending=True).values[math.floor(0.05 * len(flat)) - 1]
    held = torch.cat([bits.dense().flatten() for bits in isolation.mask().values()])
    assert torch.equal(held, chosen)
    assert any("reference examples" in note for note in isolation.notes())


def test_reference_examples_that_are_missing_are_told() -> None:
    with pytest.raises(
        BadData, match=r"epi\(importance='reference'\) draws on examples of what the model already knows"
    ):
        Loop().isolate(Epi(importance="reference", first_refresh=1, interval=1)).run(0, 1)


def test_gradients_that_are_all_zero_are_told() -> None:
    trained = Loop().isolate(Epi(ratio=0.1, first_refresh=1, interval=1))
    for tensor in trained.model.parameters():
        tensor.grad = torch.zeros_like(tensor)
    with pytest.raises(
        NotMeasurable, match=r"after step 1 all gradients of the 14 tensors that could be held are zero"
    ):
        trained.optimizer.step()


def test_adams_own_moment_needs_adam() -> None:
    trained = Loop(OPTIMIZERS["sgd"]).isolate(Epi(importance="adam_v", first_refresh=1, interval=1))
    with pytest.raises(HoldfastError, match=r"reads the optimizer's 'exp_avg_sq', and SGD keeps momentum_buffer of"):
        trained.run(0, 1)


def test_adams_own_moment_chooses_as_an_average_of_the_same_horizon() -> None:
    shared = {"ratio": 0.05, "first_refresh": 3, "interval": 100}
    own = Loop().isolate(Epi(beta=0.999, **shared)).run(0, 3).isolation
    adams = Loop().isolate(Epi(importance="adam_v", **shared)).run(0, 3).isolation
    # The same average, rounded differently.
    assert own.mask().jaccard(adams.mask()) > 0.999
    assert not any("average" in key for key in adams.state_dict())


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"ratio": 1.0}, "epi: ratio=1.0 must be a share from 0 to below 1: 0.01 is one percent"),
        ({"ratio": -0.1}, "epi: ratio=-0.1 must be a share from 0 to below 1: 0.01 is one percent"),
        ({"ratio": float("nan")}, "epi: ratio=nan must be a share from 0 to below 1: 0.01 is one percent"),
        ({"interval": 0}, "epi: interval=0 must be a whole number of steps of 1 or more, or infinite"),
        ({"interval": 2.5}, "epi: interval=2.5 must be a whole number of steps of 1 or more, or infinite"),
        ({"first_refresh": 0}, "epi: first_refresh=0 must be a whole number of steps of 1 or more"),
        ({"beta": 1.0}, "epi: beta=1.0 must lie between 0 and 1"),
        ({"patience": 0}, "epi: patience=0 must be above 0"),
        ({"importance": "fisher"}, "epi: importance='fisher' must be one of own_ema, adam_v, reference"),
        ({"group": "layer"}, "epi: group='layer' must be one of block, tensor, model"),
        ({"acts": "loss"}, "epi: acts='loss' must be one of update, gradient"),
        ({"eligible": "none"}, "epi: eligible='none' must be one of matrices, all"),
        ({"on": "lorra"}, "epi: on: "),
    ],
)
def test_options_out_of_range_are_told(options: dict[str, Any], fault: str) -> None:
    method = Epi(**options)
    assert any(found.startswith(fault) for found in method.faults()), method.faults()
    with pytest.raises(RecipeError):
        method.attach(small_model())
    with pytest.raises(RecipeError):
        method.isolate(small_model(), torch.optim.SGD(small_model().parameters()), steps=1)


def test_an_interval_left_open_needs_the_number_of_steps() -> None:
    model = small_model()
    with pytest.raises(
        RecipeError, match="the default of interval depends on how long training is; give interval, or steps"
    ):
        Epi().isolate(model, torch.optim.AdamW(model.parameters()))


def test_nothing_trainable_is_told() -> None:
    model = small_model()
    optimizer = torch.optim.AdamW(model.parameters())
    model.requires_grad_(False)
    with pytest.raises(HoldfastError, match="no scalar can be held: among nothing trainable"):
        Epi().isolate(model, optimizer, steps=10)


def test_isolations_are_made_by_isolate() -> None:
    assert isinstance(Loop().isolate(Epi()).isolation, Isolation)
