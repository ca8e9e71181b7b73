"""Prompts are disturbed one by one; what is certain then is certain of embeddings, and of nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import ndtr, ndtri
from torch import Tensor
from transformers import PreTrainedModel

from holdfast.algebra.noise import Noise
from holdfast.core.basin_recipe import BasinRecipe
from holdfast.core.errors import NotMeasurable
from holdfast.measure.basin import inputs
from holdfast.measure.basin.ability import OfTask
from holdfast.measure.basin.asked import Notebook
from holdfast.measure.basin.findings import Findings
from holdfast.measure.basin.inputs import disturbed, input_curve, rms_of_embeddings, robustness, typical_substitution
from holdfast.metrics.basin.bounds import bound, strong_bound
from holdfast.metrics.basin.evaluations import Evaluations
from holdfast.models.base import Base
from holdfast.tasks.recall import Recall
from holdfast.weights.perturbing.pristine import fingerprint

from .test_ability import Told


@pytest.fixture
def told(letters: Any) -> OfTask:
    task: Any = Told(max_new_tokens=3)
    return OfTask(task, letters, tuple(task.examples("test")), "key")


def embedded(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """Tokens and embeddings of every pass from now on, as the first layer gets them."""
    seen: list[tuple[Tensor, Tensor]] = []
    table = model.get_input_embeddings()
    forward = table.forward

    def watched(tokens: Tensor) -> Tensor:
        seen.append((tokens, forward(tokens)))
        return seen[-1][1]

    monkeypatch.setattr(table, "forward", watched)
    return seen


def test_noise_is_put_on_the_embeddings_of_the_prompt_alone(
    model: PreTrainedModel, told: OfTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Tensor] = []
    layer: Any = model.model.layers[0]
    hook = layer.register_forward_pre_hook(
        lambda module, args, given: heard.append((args or (given,))[0]), with_kwargs=True
    )
    seen = embedded(model, monkeypatch)
    disturbed(Notebook("m"), model, told, "embeddings").scores(0.1, 5, [1])
    hook.remove()
    tokens, clean = seen[0]
    noise = Noise(tuple(clean.shape), 5, "embeddings told/1", scale=0.1).dense()
    torch.testing.assert_close(heard[0], clean + noise)
    assert tokens.shape[1] > 1 and len(seen) > 1
    for (one, embeddings), there in zip(seen[1:], heard[1:], strict=True):
        assert one.shape[1] == 1
        torch.testing.assert_close(there, embeddings)


def test_every_item_and_every_draw_has_numbers_of_its_own(
    model: PreTrainedModel, told: OfTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = embedded(model, monkeypatch)
    scores = disturbed(Notebook("m"), model, told, "tokens")
    prompts = []
    for seed, items in ((1, [0, 1, 2]), (2, [0])):
        for item in items:
            seen.clear()
            scores.scores(0.9, seed, [item])
            prompts.append(tuple(seen[0][0][0].tolist()))
    assert len(set(prompts)) == 4


def test_larger_shares_hold_smaller_ones_and_special_tokens_stay(
    model: PreTrainedModel, told: OfTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = embedded(model, monkeypatch)
    before = fingerprint(model)
    scores = disturbed(Notebook("m"), model, told, "tokens")
    found = {}
    for share in (0.0, 0.2, 0.5, 1.0):
        seen.clear()
        scores.scores(share, 1, [0])
        found[share] = seen[0][0][0]
    start = found[0.0]
    assert start[0] == told.tokenizer.bos_token_id
    replaced = [found[share] != start for share in (0.2, 0.5, 1.0)]
    for fewer, more in pairwise(replaced):
        assert not (fewer & ~more).any()
    assert not any(each[0] for each in replaced) and replaced[-1].sum() >= len(start) - 2
    assert not torch.isin(found[1.0][1:], torch.tensor(told.tokenizer.all_special_ids)).any()
    assert fingerprint(model) == before


def test_a_curve_of_prompts_falls_and_is_certified(miniature: Base) -> None:
    recall = OfTask(Recall(), miniature.tokenizer, tuple(Recall().examples("test", 4)), "recall")
    recipe = BasinRecipe(
        directions=("tokens", "embeddings"),
        shares=(0.6,),
        embedding_sigmas=(1e-3, 3.0),
        seeds=2,
        certificate_directions=3,
    )
    findings = Findings(miniature)
    robustness(miniature.model, [recall], recipe, Notebook("m"), findings)
    tokens, embeddings = findings.inputs
    assert (tokens.kind, embeddings.kind) == ("tokens", "embeddings") and tokens.items == 4
    assert embeddings.levels[0].mean == embeddings.base > embeddings.levels[1].mean
    (certificate,) = findings.certificates
    assert certificate.sigma == embeddings.levels[0].amount == pytest.approx(1e-3 * rms_of_embeddings(miniature.model))
    assert certificate.about == "score" and certificate.space == "embeddings of the prompt, every position"
    assert certificate.displacement == pytest.approx(typical_substitution(miniature.model)) and certificate.vacuous
    assert findings.notes == [inputs.COVERS]


def test_where_nothing_lies_inside_there_is_no_certificate(model: PreTrainedModel, told: OfTask) -> None:
    recipe = BasinRecipe(directions=("embeddings",), embedding_sigmas=(1.0,), seeds=1)
    wrong = OfTask(Told(grades=0.0), told.tokenizer, told.examples, "wrong")  # type: ignore[arg-type]
    findings = Findings(Base("small", model, told.tokenizer, "identity"))
    robustness(model, [wrong], recipe, Notebook("m"), findings)
    assert findings.notes == [inputs.NOT_INSIDE.format("told")] and not findings.certificates


def test_what_recovers_further_out_is_not_certified_there(
    model: PreTrainedModel, told: OfTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    amounts = [share * rms_of_embeddings(model) for share in (0.1, 0.2, 0.4)]
    fallen = Evaluations(lambda sigma, seed, items: [float(sigma != amounts[1]) for _ in items], 3)
    monkeypatch.setattr(inputs, "disturbed", lambda *given: fallen)
    recipe = BasinRecipe(directions=("embeddings",), embedding_sigmas=(0.1, 0.2, 0.4), seeds=1)
    findings = Findings(Base("small", model, told.tokenizer, "identity"))
    robustness(model, [told], recipe, Notebook("m"), findings)
    assert [each.sigma for each in findings.certificates] == [amounts[0]]


def test_a_single_draw_has_no_spread(model: PreTrainedModel, told: OfTask) -> None:
    scores = disturbed(Notebook("m"), model, told, "tokens")
    assert input_curve(told, "tokens", scores, (0.5,), 1).levels[0].spread is None


def test_the_bound_of_a_mean_holds_when_every_prompt_moves_at_once() -> None:
    draw = np.random.default_rng(0)
    for r in (0.1, 0.7, 2.0):
        for _ in range(200):
            each = draw.beta(*draw.uniform(0.2, 3, 2), size=draw.integers(1, 9))
            assert ndtr(ndtri(each) - r).mean() >= strong_bound(float(each.mean()), r) - 1e-12


def test_the_token_theorem_has_a_counterexample_which_smoothed_embeddings_do_not() -> None:
    """Two words with embeddings 0 and a; "0 a" becomes "a a"; the score says that the first is the smaller."""
    a, sigma, draws = 1.0, 1.0, 200_000
    draw = np.random.default_rng(0)
    words = np.array([0.0, a])

    def score(one: np.ndarray, other: np.ndarray) -> float:
        return float((one < other).mean())

    # Noise on the table: a word has the same noise wherever it stands, so that equal words stay equal.
    first, second = words[:, None] + sigma * draw.standard_normal((2, draws))
    before, after = score(first, second), score(second, second)
    claimed = strong_bound(before, a / sigma)
    assert before == pytest.approx(ndtr(a / (np.sqrt(2) * sigma)), abs=0.01)
    assert claimed > 0.35 and after == 0.0
    with pytest.raises(NotMeasurable, match="counterexample"):
        bound(before, a / sigma, "token")
    # Noise on every position: the same substitution keeps what the bound says.
    one, other = sigma * draw.standard_normal((2, draws))
    assert score(one, other + a) == pytest.approx(before, abs=0.01)
    assert score(one + a, other + a) >= claimed
