"""Sequences made up without a model, with forgetting that is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from holdfast.core.parameter_plan import ParameterPlan, PlannedTensor
from holdfast.core.record import Record
from holdfast.core.scores import PointScores, TaskScores
from holdfast.core.sequence_evidence import (
    ChainRun,
    Regime,
    SequenceEntrant,
    SequenceEvidence,
    Stage,
)
from holdfast.report.sequence.analysis import Analysed, analysed

TASKS = ("recall", "sums", "cant", "logic", "endings")
KEEP = ("facts", "grammar", "stories")
MODULES = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj")

Build = Callable[..., SequenceEvidence]


def rotated(tasks: Sequence[str], orders: int) -> tuple[tuple[str, ...], ...]:
    """Orders that differ, each task first in at most one of them."""
    return tuple(tuple(tasks[(place + turn) % len(tasks)] for place in range(len(tasks))) for turn in range(orders))


def answers(task: str, frac: float, items: int, salt: int) -> TaskScores:
    """Graded answers of which this share is right, the same items being hard for everyone."""
    hard = np.random.default_rng(len(task)).random(items) + 0.15 * np.random.default_rng(salt).random(items)
    values = np.zeros(items)
    values[np.argsort(hard)[: round(frac * items)]] = 1.0
    return TaskScores(
        task=task,
        ask="generate",
        unit="frac",
        ids=tuple(f"{task}-{number}" for number in range(items)),
        values=tuple(values.tolist()),
        weights=(1.0,) * items,
    )


def texts(task: str, nats: float, items: int, salt: int) -> TaskScores:
    """Texts of differing length with this log-likelihood a token."""
    lengths = 5.0 + np.arange(items) % 7
    noise = 0.1 * np.random.default_rng(salt).normal(size=items)
    noise -= (noise * lengths).sum() / lengths.sum()
    return TaskScores(
        task=task,
        ask="read",
        unit="nats/token",
        ids=tuple(f"{task}-{number}" for number in range(items)),
        values=tuple((nats + noise).tolist()),
        weights=tuple(lengths.tolist()),
    )


def plan_of(task: str, seed: int, owners: Mapping[str, Sequence[str]], layers: int = 4) -> ParameterPlan:
    """A fifth of all tensors, drawn by task and seed."""
    names = [f"model.layers.{layer}.{module}.weight" for layer in range(layers) for module in MODULES]
    chosen = set(np.random.default_rng([seed, len(task)]).choice(len(names), len(names) // 5, replace=False).tolist())
    return ParameterPlan(
        task=task,
        method="trace_probe",
        seed=seed,
        model_params=30_000,
        model_tensors=len(names) + 3,
        tensors=tuple(
            PlannedTensor(
                name=name,
                params=800 if "mlp" in name else 200,
                chosen=place in chosen,
                score=1.0 - place / len(names),
                owners=tuple(owners.get(name, ())),
            )
            for place, name in enumerate(names)
        ),
        settings={"probe_steps": 20},
    )


@pytest.fixture(scope="session")
def build() -> Build:
    """Entrants that learn a task by `learn`, lose `lose` of every earlier one a stage, and of abilities a third."""

    def built(
        rows: Mapping[str, tuple[float, float]] | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        tasks: Sequence[str] = TASKS,
        keep: Sequence[str] = KEEP,
        orders: int = 3,
        seeds: Sequence[int] = (1, 2, 3),
        items: int = 60,
        noise: float = 0.01,
        text_tasks: Sequence[str] = ("stories",),
        planned: Sequence[str] = (),
        outside: bool = True,
        broken: Mapping[str, int] | None = None,
    ) -> SequenceEvidence:
        found = {"full": (0.6, 0.10), "trace_probe": (0.6, 0.02)} if rows is None else rows

        def scored(levels: Mapping[str, float], salt: int) -> PointScores:
            def one(task: str, level: float) -> TaskScores:
                if task in text_tasks:
                    return texts(task, 2.0 * level - 3.0, items, salt)
                return answers(task, min(max(level, 0.0), 1.0), items, salt)

            return PointScores(split="test", tasks=tuple(one(task, level) for task, level in levels.items()))

        start = {**dict.fromkeys(tasks, 0.2), **dict.fromkeys(keep, 0.7)}

        def chain(label: str, order: tuple[str, ...], seed: int) -> ChainRun:
            learn, lose = found[label]
            rng = np.random.default_rng([seed, len(label), *(ord(task[0]) for task in order)])
            levels, stages, owners = dict(start), [], {}
            shift = noise * rng.normal()
            for number, task in enumerate(order):
                if broken and label in broken and number == broken[label] and seed == seeds[0]:
                    return ChainRun(order=order, seed=seed, stages=tuple(stages), failure="the loss became infinite")
                for other in levels:
                    levels[other] -= (lose + shift) * (
                        1.0 if other in order[:number] else 1 / 3 if other in keep else 0
                    )
                levels[task] = levels[task] + learn + noise * rng.normal()
                plan = plan_of(task, seed, owners) if label in planned else None
                for tensor in plan.chosen if plan is not None else ():
                    owners[tensor.name] = (*owners.get(tensor.name, ()), task)
                facts = (Record(subject="run", quantity="stored_bytes", value=100_000.0, unit="bytes"),)
                stages.append(Stage(task=task, test=scored(levels, seed), facts=facts, plan=plan))
            return ChainRun(order=order, seed=seed, stages=tuple(stages))

        def costs(label: str) -> tuple[Record, ...]:
            probe = [Record(subject=label, quantity="probe_s", value=12.5, unit="s")] if label in planned else []
            return (Record(subject=label, quantity="step_time_rel_lora", value=1.25, unit="x"), *probe)

        def entrant(label: str, regime: Regime, runs: Sequence[ChainRun], setting: str = "") -> SequenceEntrant:
            return SequenceEntrant(
                label=label,
                setting=setting or (settings or {}).get(label, label),
                regime=regime,
                trainable_params=3_000,
                learning_rate=1e-3,
                runs=tuple(runs),
                costs=costs(label),
            )

        chains = rotated(tasks, orders)
        entrants = [entrant(label, "sequence", [chain(label, o, s) for o in chains for s in seeds]) for label in found]
        if outside:
            each = [
                ChainRun(order=(task,), seed=seed, stages=(Stage(task=task, test=scored({**start, task: 0.85}, seed)),))
                for task in tasks
                for seed in seeds
            ]
            mixed = [
                ChainRun(
                    order=tuple(tasks),
                    seed=seed,
                    stages=(Stage(task="+".join(tasks), test=scored({**start, **dict.fromkeys(tasks, 0.8)}, seed)),),
                )
                for seed in seeds
            ]
            entrants += [
                entrant("lora alone", "alone", each, "lora"),
                entrant("full jointly", "jointly", mixed, "full"),
            ]
        return SequenceEvidence(
            recipe={"model_name_or_path": "tiny", "tasks": list(tasks), "seeds": list(seeds), "max_steps": 40},
            environment={"torch": "2.11", "machine": "one core"},
            base="tiny",
            base_identity="abc",
            base_params=30_000,
            vocabulary=128,
            tasks=tuple(tasks),
            keep=tuple(keep),
            orders=chains,
            base_test=scored(start, 0),
            entrants=tuple(entrants),
        )

    return built


@pytest.fixture(scope="session")
def two(build: Build) -> Analysed:
    """Full fine-tuning, which forgets a tenth a stage, and probing, which forgets a fiftieth."""
    return analysed(build(planned=("trace_probe",)), 400)


EIGHTEEN = {
    "full": (0.60, 0.110),
    "lora": (0.58, 0.080),
    "replay_1": (0.59, 0.050),
    "replay_10": (0.58, 0.020),
    "ewc": (0.55, 0.060),
    "o_lora": (0.52, 0.055),
    "inf_lora": (0.50, 0.050),
    "osf": (0.54, 0.045),
    "lota": (0.56, 0.040),
    "hft": (0.57, 0.075),
    "epi": (0.55, 0.065),
    "cpi_ft": (0.56, 0.085),
    "ssu": (0.50, 0.030),
    "trace_probe": (0.57, 0.035),
    "trace_probe_exclude": (0.55, 0.020),
    "trace_random": (0.50, 0.040),
    "random_mask": (0.51, 0.060),
    "l2_sp": (0.45, 0.030),
}


@pytest.fixture(scope="session")
def eighteen(build: Build) -> Analysed:
    """As many rows as a real comparison has, one of them with a chain that broke."""
    planned = ("trace_probe", "trace_probe_exclude", "trace_random")
    return analysed(build(EIGHTEEN, planned=planned, broken={"o_lora": 3}, items=40), 200)
