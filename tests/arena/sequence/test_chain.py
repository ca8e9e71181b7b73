"""One sequence of trainings: what its stages are given, how it goes on after it was cut, and where it ends."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from curricula import Cutting, Minding, chain_of

from holdfast.arena.executor import LocalPool, Unwatched
from holdfast.arena.sequence import stage as stages
from holdfast.arena.sequence.chain import ChainJob
from holdfast.arena.sequence.engine import run_of
from holdfast.core.errors import HoldfastError, TrainingDiverged
from holdfast.core.sequence_evidence import ChainRun
from holdfast.models.base import open_base
from holdfast.models.identity import identity_of
from holdfast.train.cost import forget_peak_memory

TASKS = ("cant", "diagnosis", "working")
SECONDS = "isolation_choice_s"


def ended(job: ChainJob) -> ChainRun:
    job.run(lambda doing, share: None)
    assert job.finished
    return run_of(job, {})


def test_a_method_is_given_what_earlier_stages_left(tmp_path: Path) -> None:
    Minding.heard.clear()
    run = ended(chain_of(tmp_path, {"minding": Minding()}, tasks=TASKS))
    first, second, third = Minding.heard
    assert first == []
    assert [(task, left) for task, left, _ in second] == [("cant", {"number": 0.0})]
    norms = [next(fact.value for fact in stage.facts if fact.quantity == "update_norm") for stage in run.stages]
    assert [norm for _, _, norm in third] == pytest.approx(norms[:2], rel=1e-5)


def test_the_past_is_a_source_for_methods_that_look_back(tmp_path: Path) -> None:
    job = chain_of(tmp_path, tasks=TASKS, source_items=6, retention=("logic",))
    source = [stage.lesson.source() for stage in job.stages]
    assert source[0] == []
    assert [example.id.partition("/")[0] for example in source[1]] == ["cant"] * 6
    assert [example.id.partition("/")[0] for example in source[2]] == ["cant", "diagnosis"] * 3
    trained = {example.id for stage in job.stages[:2] for example in stage.lesson.taught()[0]}
    assert {example.id for example in source[2]} <= trained


def test_what_is_known_to_the_base_is_a_source_too(tmp_path: Path) -> None:
    job = chain_of(tmp_path, tasks=TASKS, source=("logic",), source_items=6)
    source = [[example.id.partition("/")[0] for example in stage.lesson.source()] for stage in job.stages]
    assert source == [["logic"] * 6, ["cant", "logic"] * 3, ["cant", "diagnosis", "logic"] * 2]


@pytest.mark.slow
def test_replay_trains_as_its_inner_method_until_there_is_something_to_replay(tmp_path: Path) -> None:
    full, replay = (ended(chain_of(tmp_path, methods=(method,))).stages for method in ("full", "replay(share=0.5)"))
    assert replay[0] == full[0]
    tokens = [[f.value for f in stages[1].facts if f.quantity == "tokens_seen"] for stages in (full, replay)]
    assert tokens[0] != tokens[1]


def test_whatever_came_before_is_in_the_name_of_a_stage(tmp_path: Path) -> None:
    names = {
        str(options): [stage.folder.name for stage in chain_of(tmp_path, tasks=TASKS, **options).stages]
        for options in ({}, {"orders": (("diagnosis", "cant", "working"),)}, {"max_steps": 5}, {"rate": 0.01})
    }
    for at in range(3):
        assert len({each[at] for each in names.values()}) == 4
    last = [each[2] for each in names.values()]
    assert last[0].startswith("lora-3-working-seed-1-") and last[1].startswith("lora-3-working-seed-1-")


@pytest.mark.parametrize(
    "method",
    ["lora", pytest.param("full", marks=pytest.mark.slow), pytest.param("epi(ratio=0.1)", marks=pytest.mark.slow)],
)
def test_a_sequence_that_is_cut_ends_as_the_undisturbed_one(tmp_path: Path, method: str) -> None:
    whole = ended(chain_of(tmp_path / "whole", methods=(method,), rate=0.001))
    job, begun, cuts = chain_of(tmp_path / "cut", methods=(method,), rate=0.001), dict[Path, bytes](), 0
    while not job.finished:
        try:
            job.run(Cutting(after=6))
        except KeyboardInterrupt:
            cuts += 1
        for mark in tmp_path.glob("cut/stages/*/trained.json"):
            assert begun.setdefault(mark, mark.read_bytes()) == mark.read_bytes(), f"{mark} was trained twice"
    assert cuts >= 2
    assert timeless(run_of(job, {})) == timeless(whole)
    one, other = (next(tmp_path.glob(f"{side}/chains/*/chain.json")).read_bytes() for side in ("whole", "cut"))
    assert one == other
    assert not list(tmp_path.glob("cut/**/resume"))


def timeless(run: ChainRun) -> object:
    """All that was measured, but for time."""
    told = run.model_dump()
    for stage in told["stages"]:
        stage["facts"] = [fact for fact in stage["facts"] if fact["quantity"] != SECONDS]
        for refresh in (stage["isolation"] or {}).get("refreshes", ()):
            del refresh["seconds"]
    return told


def test_a_stage_that_was_cut_goes_on_at_the_step_where_it_was(tmp_path: Path) -> None:
    job = chain_of(tmp_path)
    noted = []
    for after in (10, 1000):
        cutting = Cutting(after)
        try:
            job.run(cutting)
        except KeyboardInterrupt:
            assert after == 10
        noted.append([share for doing, share in cutting.noted if doing == "learning diagnosis"])
    assert noted == [[0.25, 0.5, 0.75], [0.75, 1.0]]
    assert not any(doing == "learning cant" for doing, _ in cutting.noted)


@pytest.mark.slow
def test_two_chains_at_once_wait_for_each_other_where_they_share_stages(tmp_path: Path) -> None:
    job = chain_of(tmp_path)
    twin = replace(job, name="twin", folder=tmp_path / "chains" / "twin")
    outcomes = LocalPool(2).run([job, twin], Unwatched())
    assert [outcome.failure for outcome in outcomes] == [None, None]
    assert job.finished and twin.finished
    assert (job.model / "model.safetensors").read_bytes() == (twin.model / "model.safetensors").read_bytes()


def test_a_stage_that_diverges_ends_its_chain_and_says_which_and_at_what_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = stages.train

    def diverging(base, method, examples, recipe, *args, **options):  # type: ignore[no-untyped-def]
        if recipe.target == "diagnosis":
            raise TrainingDiverged("the loss became nan at step 3 with learning rate 0.004; try a lower learning_rate")
        train(base, method, examples, recipe, *args, **options)

    monkeypatch.setattr(stages, "train", diverging)
    job = chain_of(tmp_path, tasks=TASKS)
    run = ended(job)
    assert [stage.task for stage in run.stages] == ["cant"]
    assert run.failure == (
        "stage 2, 'diagnosis': the loss became nan at step 3 with learning rate 0.004; try a lower learning_rate"
    )
    assert not job.stages[2].folder.exists()


def test_a_rate_that_is_far_too_high_is_told_with_its_stage(tmp_path: Path) -> None:
    run = ended(chain_of(tmp_path, methods=("full",), rate=1e22))
    assert run.stages == ()
    assert run.failure is not None and run.failure.startswith("stage 1, 'cant': the loss became ")


def test_what_changes_no_weights_cannot_be_gone_on_from(tmp_path: Path) -> None:
    job = chain_of(tmp_path, methods=("peft:prompt_tuning(num_virtual_tokens=2)",))
    with pytest.raises(HoldfastError, match=r"stage 1, 'cant': .*cannot become the weights that the next task begins"):
        job.run(lambda doing, share: None)


@pytest.mark.parametrize("method", ["lora", pytest.param("full", marks=pytest.mark.slow)])
def test_a_stage_may_step_back_before_the_next_one_begins(tmp_path: Path, method: str) -> None:
    job = chain_of(tmp_path, methods=(method,), rewind_rule="lose_at_most(1.0)", rewind_points=3)
    run = ended(job)
    for stage, told in zip(job.stages, run.stages, strict=True):
        found = stage.run.rewound()
        assert found is not None
        facts = {fact.quantity: fact.value for fact in told.facts}
        assert facts["stepped_back_to"] == found.t
        assert {scores.task for scores in found.test.tasks} == {stage.lesson.name, *stage.lesson.past, "recall"}
        assert found.test.split == "test"


def test_the_next_stage_begins_where_the_last_one_stepped_back_to(tmp_path: Path) -> None:
    job = chain_of(tmp_path, methods=("full",), rewind_rule="keep_gain(0.9)", rewind_points=3, rate=0.02, max_steps=8)
    ended(job)
    first, second = job.stages
    found = first.run.rewound()
    assert found is not None
    model = open_base("miniature").model
    first.fold_into(model)
    begun = json.loads((second.checkpoint / "holdfast.json").read_text())["base_identity"]
    assert identity_of(model) == begun
    by_hand = open_base("miniature").model
    after = open_base(str(first.checkpoint)).model
    for (name, start), (_, end), (_, there) in zip(
        by_hand.named_parameters(), after.named_parameters(), model.named_parameters(), strict=True
    ):
        assert there.allclose(start + found.t * (end - start), atol=1e-6), name
    last = second.run.rewound()
    assert last is not None
    assert (job.model == second.checkpoint) is (last.t == 1), "the last checkpoint is not where it stepped back to"
    second.fold_into(model)
    assert identity_of(open_base(str(job.model)).model) == identity_of(model)


def test_the_model_that_a_chain_ends_with_is_an_ordinary_one(tmp_path: Path) -> None:
    job = chain_of(tmp_path)
    ended(job)
    # The peak of a process tells of its first training alone, unless it can be forgotten.
    assert [stage.run.memory() is not None for stage in job.stages] == [True, forget_peak_memory()]
    told = json.loads((job.model / "holdfast.json").read_text())
    base = open_base(str(job.model))
    assert told["identity"] == base.identity
    assert told["tasks"] == ["cant", "diagnosis"]
    shutil.rmtree(job.model)
    assert not job.finished
    ended(job)
    assert open_base(str(job.model)).identity == base.identity
