"""The geometry of a comparison's checkpoints stands beside what each of them gained and forgot."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from contests import NoClock, small_contest
from small import bits, same_bits

from holdfast.arena.engine import compare
from holdfast.arena.executor import Unwatched
from holdfast.arena.geometry import BRISK, DRAWS, geometry_of
from holdfast.core.diagnosis import UPDATE
from holdfast.core.errors import BadData
from holdfast.core.evidence import Evidence
from holdfast.core.foretelling import SIZE, Foretelling, Measured, Settings, read_foretelling
from holdfast.core.scores import PointScores
from holdfast.measure.diagnose import Asked, diagnose
from holdfast.measure.patients import patient
from holdfast.models.base import Base
from holdfast.probes.tokens import TokenChoice
from holdfast.tasks.recall import Recall
from holdfast.weights.adapter import read_adapter

Finished = tuple[Path, Evidence]
SETTINGS = Settings(tokens_per_prompt=4)
HOW = replace(BRISK, choice=TokenChoice(tokens=4))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    contest = small_contest(methods=("lora", "ia3", "layernorm"), seeds=(1, 2))
    return folder, compare(contest, folder, NoClock(), Unwatched())


@pytest.fixture(scope="module")
def prompts(miniature: Base) -> dict[str, Asked]:
    def asked(examples: Sequence[str]) -> Asked:
        return Asked("recall", [tuple(miniature.tokenizer(text)["input_ids"]) for text in examples])

    texts = [str(example.prompt) for example in Recall().examples("test", 20)]
    return {"general": asked(texts[:10]), "target": asked(texts[10:])}


@pytest.fixture(scope="module")
def found(finished: Finished, miniature: Base, prompts: dict[str, Asked]) -> Foretelling:
    folder, evidence = finished
    return geometry_of(evidence, folder, miniature, prompts, SETTINGS)


def lora(found: Foretelling, seed: int = 1) -> Measured:
    return next(each for each in found.checkpoints if each.family == "lora" and each.seed == seed)


def mean_of(scores: PointScores, task: str) -> float:
    one = scores.of(task)
    assert one is not None
    return one.mean


def test_every_last_checkpoint_with_a_matrix_is_measured(found: Foretelling) -> None:
    assert [(each.family, each.seed, each.step) for each in found.checkpoints] == [
        ("lora", 1, 6), ("lora", 2, 6), ("ia3", 1, 6), ("ia3", 2, 6),
    ]  # fmt: skip


def test_what_is_not_measured_is_named_with_its_reason(
    found: Foretelling, finished: Finished, miniature: Base, prompts: dict[str, Asked], tmp_path: Path
) -> None:
    assert [(each.family, each.seed, each.step) for each in found.left_out] == [
        ("layernorm", 1, 6),
        ("layernorm", 2, 6),
    ]
    (reason,) = {each.reason for each in found.left_out}
    assert reason == "it changes no matrix of miniature: there is nothing to be diagnosed"
    folder, evidence = finished
    (kept,) = (folder / "runs").glob("lora-seed-1-*")
    shutil.copytree(kept, tmp_path / "runs" / kept.name)
    lora, *_ = evidence.entrants
    failed = lora.model_copy(
        update={"runs": (*lora.runs, lora.runs[0].model_copy(update={"seed": 3, "test": None, "failure": "diverged"}))}
    )
    alone = geometry_of(evidence.model_copy(update={"entrants": (failed,)}), tmp_path, miniature, prompts, SETTINGS)
    assert [(each.seed, each.step, each.reason) for each in alone.left_out] == [
        (2, None, "its checkpoints are not in the folder"), (3, None, "diverged"),
    ]  # fmt: skip
    assert [each.seed for each in alone.checkpoints] == [1]


def test_how_it_was_measured_is_kept(found: Foretelling) -> None:
    assert found.settings == SETTINGS
    assert found.prompts == {"general": 10, "target": 10}


def test_gain_and_forgetting_are_those_of_the_test_items(found: Foretelling, finished: Finished) -> None:
    _, evidence = finished
    test = evidence.entrants[0].runs[0].test
    assert test is not None
    # The chronicle is a loss, and has no common mean with an accuracy.
    assert lora(found).forgetting == pytest.approx(mean_of(evidence.base_test, "recall") - mean_of(test, "recall"))
    assert lora(found).gain == pytest.approx(mean_of(test, "cant") - mean_of(evidence.base_test, "cant"))


def test_draws_of_items_are_the_same_for_all_checkpoints_and_about_the_value(found: Foretelling) -> None:
    assert all(len(each.forgetting_draws) == DRAWS for each in found.checkpoints)
    for each in found.checkpoints:
        error = np.std(each.forgetting_draws) / DRAWS**0.5
        assert np.mean(each.forgetting_draws) == pytest.approx(each.forgetting, abs=4 * error + 1e-12)


def test_the_size_is_that_of_the_whole_update(found: Foretelling, finished: Finished, miniature: Base) -> None:
    folder, _ = finished
    (run,) = (folder / "runs").glob("lora-seed-1-*")
    update = read_adapter(run / "checkpoints" / "step-000006", miniature.model)
    weights = dict(miniature.model.named_parameters())
    base = sum(float(weights[name].detach().double().square().sum()) for name in update) ** 0.5
    assert lora(found).measures[SIZE] == pytest.approx(update.norm() / base, rel=1e-6)


def test_measures_are_means_over_the_sites_of_a_diagnosis(
    found: Foretelling, finished: Finished, miniature: Base, prompts: dict[str, Asked]
) -> None:
    folder, _ = finished
    (run,) = (folder / "runs").glob("lora-seed-2-*")
    diagnosis = diagnose(patient("miniature", run / "checkpoints" / "step-000006", miniature), prompts, HOW)
    for name in ("stable_rank", "drift_relative/general", "procrustes_residual/general"):
        values = [r.value for r in diagnosis.records if r.quantity == name and r.subject == UPDATE]
        assert len(values) > 3
        assert lora(found, 2).measures[name] == pytest.approx(np.mean([v for v in values if v is not None]), rel=1e-6)


@pytest.mark.slow
def test_all_checkpoints_may_be_taken_with_their_validation_scores(
    finished: Finished, miniature: Base, prompts: dict[str, Asked]
) -> None:
    folder, evidence = finished
    before = bits(miniature.model)
    told: list[tuple[int, int]] = []

    def tick(done: int, total: int) -> None:
        told.append((done, total))

    every = SETTINGS.model_copy(update={"every_checkpoint": True})
    taken = geometry_of(evidence, folder, miniature, prompts, every, tick)
    assert [(each.family, each.step) for each in taken.checkpoints] == [("lora", 3), ("lora", 6)] * 2 + [
        ("ia3", 3), ("ia3", 6),
    ] * 2  # fmt: skip
    curve = evidence.entrants[0].runs[0].curve[0].scores
    assert taken.checkpoints[0].forgetting == pytest.approx(
        mean_of(evidence.base_validation, "recall") - mean_of(curve, "recall")
    )
    assert told[0] == (0, 12) and told[-1] == (12, 12)
    assert same_bits(bits(miniature.model), before)


def test_another_base_is_refused(finished: Finished, miniature: Base, prompts: dict[str, Asked]) -> None:
    folder, evidence = finished
    with pytest.raises(BadData, match="was made with other weights than those of 'miniature' now"):
        geometry_of(evidence, folder, replace(miniature, identity="another"), prompts, SETTINGS)


def test_removed_checkpoints_are_told(
    finished: Finished, miniature: Base, prompts: dict[str, Asked], tmp_path: Path
) -> None:
    with pytest.raises(BadData) as caught:
        geometry_of(finished[1], tmp_path, miniature, prompts, SETTINGS)
    assert str(caught.value) == f"{tmp_path} holds no checkpoint of a reported run: were they removed?"


def test_what_was_measured_is_read_back(found: Foretelling, tmp_path: Path) -> None:
    file = tmp_path / "geometry.json"
    file.write_text(found.model_dump_json(), encoding="utf-8")
    assert read_foretelling(file) == found
