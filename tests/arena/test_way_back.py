"""Every run of a comparison is brought to its best point on validation items, and scored there on test items."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from contests import NoClock, small_contest
from small import bits, same_bits

from holdfast.arena.engine import compare
from holdfast.arena.executor import Unwatched
from holdfast.core.errors import RecipeError
from holdfast.core.evidence import Entrant, Evidence, RewoundRun
from holdfast.measure.evaluate import evaluate
from holdfast.models.base import Base
from holdfast.store.run import RunFolder
from holdfast.tasks.cant import Cant
from holdfast.tasks.recall import Recall
from holdfast.weights.paths.catalogue import path_of

METHODS = ("lora", "hra", "full", "peft:prompt_tuning(num_virtual_tokens=2)")
RULE = "lose_at_most(0.6)"


def run(folder: Path, rule: str | None = RULE) -> tuple[Evidence, NoClock]:
    executor = NoClock()
    contest = small_contest(methods=METHODS, retention=("recall",), rewind_rule=rule, rewind_points=4)
    return compare(contest, folder, executor, Unwatched()), executor


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Evidence]:
    folder = tmp_path_factory.mktemp("way-back")
    return folder, run(folder)[0]


def rewound(entrant: Entrant) -> RewoundRun:
    (only,) = entrant.runs
    assert only.rewound is not None
    return only.rewound


def by_label(evidence: Evidence) -> Mapping[str, Entrant]:
    return {entrant.label: entrant for entrant in evidence.entrants}


def test_every_run_that_has_a_way_back_has_a_best_point(finished: tuple[Path, Evidence]) -> None:
    entrants = by_label(finished[1])
    for label, path in (("lora", "additive"), ("hra", "own"), ("full", "dense")):
        found = rewound(entrants[label])
        assert (found.path, found.rule) == (path, RULE)
        assert 0 <= found.step_frac <= 1
        assert found.evaluations <= 4
        assert found.test.split == "test"
    (lost,) = entrants[METHODS[3]].runs
    assert lost.rewound is None and lost.no_way_back is not None
    assert "adds virtual tokens" in lost.no_way_back


def test_the_reported_scores_are_those_of_the_chosen_point(finished: tuple[Path, Evidence], miniature: Base) -> None:
    folder, evidence = finished
    before = bits(miniature.model)
    for label in ("lora", "hra", "full"):
        found = rewound(by_label(evidence)[label])
        (own,) = (folder / "runs").glob(f"{label}-seed-1-*")
        kept = RunFolder(own).initial_tensors() if label == "hra" else None
        path = path_of(own / "checkpoints" / "step-000006", miniature.model, found.path, kept)
        with path.walk(miniature.model) as bring:
            asked = {"cant": Cant(), "recall": Recall()}
            wanted = evaluate(bring(found.t), miniature.tokenizer, asked, split="test", limit=8)  # type: ignore[arg-type]
        assert found.test.tasks == wanted.tasks
    assert same_bits(bits(miniature.model), before)


def test_the_rewound_comparison_differs_in_test_scores_alone(finished: tuple[Path, Evidence]) -> None:
    evidence = finished[1]
    other = evidence.rewound()
    assert other is not None
    for before, after in zip(evidence.entrants, other.entrants, strict=True):
        (ended,), (best,) = before.runs, after.runs
        assert best.test == (ended.rewound.test if ended.rewound else ended.test)
        assert best.model_copy(update={"test": ended.test}) == ended
    assert other.model_copy(update={"entrants": evidence.entrants}) == evidence


def test_adapters_keep_where_they_started_and_full_models_do_not(finished: tuple[Path, Evidence]) -> None:
    folder, _ = finished
    kept = {path.parent.name.partition("-seed-")[0] for path in (folder / "runs").glob("*seed-1*/initial.safetensors")}
    assert {"lora", "hra"} <= kept and "full" not in kept


def test_what_is_finished_is_not_repeated_and_another_rule_only_rewinds(finished: tuple[Path, Evidence]) -> None:
    folder, evidence = finished
    again, executor = run(folder)
    assert executor.ran == [] and again.entrants == evidence.entrants
    times = {file: file.stat().st_mtime_ns for file in (folder / "runs").rglob("*.safetensors")}
    other, executor = run(folder, "weighted(1)")
    assert sorted(executor.ran) == sorted(f"{label} seed 1" for label in METHODS[:3])
    assert rewound(by_label(other)["lora"]).rule == "weighted(1)"
    assert {file: file.stat().st_mtime_ns for file in times} == times
    without, executor = run(folder, None)
    assert executor.ran == [] and without.rewound() is None
    assert run(folder)[0].entrants == evidence.entrants


def test_an_unknown_rule_is_a_fault_of_the_recipe() -> None:
    with pytest.raises(RecipeError, match=r"unknown rule of choice 'keep_gian': did you mean 'keep_gain'\?"):
        small_contest(rewind_rule="keep_gian(0.9)")
