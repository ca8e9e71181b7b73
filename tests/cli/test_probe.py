"""The command finds what a training would find, says where it lies, and what is wrong before it probes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from holdfast.cli.main import app
from holdfast.core.errors import BadData, DamagedCheckpoint, HoldfastError, ModelNotFound, RecipeError, TrainingDiverged
from holdfast.core.parameter_plan import read_plan
from holdfast.methods.small_to_large import mapped
from holdfast.models.base import located, open_base
from holdfast.models.identity import identity_of
from holdfast.weights.quiet import quiet

Command = Callable[..., str]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("small"), layers=2)


def saved(folder: Path, layers: int) -> Path:
    """A model of random weights that a probe takes no time on."""
    with quiet():
        sizes = {"vocab_size": 2048, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
        LlamaForCausalLM(LlamaConfig(**sizes, num_hidden_layers=layers)).save_pretrained(folder)
        AutoTokenizer.from_pretrained(located("miniature")).save_pretrained(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"prompt": f"say {number}:", "completion": f" {number % 3}"} for number in range(40)]
    return written(tmp_path / "task.jsonl", rows)


def written(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def run() -> Command:
    def command(*words: object) -> str:
        done = CliRunner().invoke(app, ["probe", *map(str, words)], env={"COLUMNS": "120"})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.stdout

    return command


FAST = ("--probe_learning_rate", "1e-2", "--train_items", "16")


def test_the_list_is_printed_and_saved(run: Command, small: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "plans" / "plan.json"
    said = run(small, data, *FAST, "--ratio", "0.25", "--out", out)
    plan = read_plan(out)
    assert len(plan.tensors) == 14
    assert len(plan.chosen) == 3
    lines = said.splitlines()
    assert f"{data} on {small}, by trace_probe(ratio=0.25, probe_learning_rate=0.01): found by a probe" in lines
    share, model = plan.trained_params / sum(t.params for t in plan.tensors), plan.trained_params / plan.model_params
    assert (
        f"3 of 14 eligible tensors (21.4%), with {plan.trained_params:,} parameters: {share:.1%} of the eligible "
        f"ones, {model:.1%} of the model"
    ) in lines
    told = [line.split() for line in lines]
    best = sorted(plan.chosen, key=lambda tensor: tensor.rank or 0)
    at = next(i for i, words in enumerate(told) if words[:1] == ["tensor"])
    assert told[at] == ["tensor", "parameters", "of", "model", "score", "l2_rms", "fisher_sequence"]
    for words, tensor in zip(told[at + 1 :], best, strict=False):
        assert tensor.score is not None
        assert words[:2] == [tensor.name, f"{tensor.params:,}"]
        assert words[2:4] == [f"{tensor.params / plan.model_params:.2%}", f"{tensor.score:.4f}"]
    assert f"gap at the cut: {plan.score_gap:.4f} (lowest score chosen minus highest left out)" in lines
    for layer in {tensor.name.split(".")[2] for tensor in plan.chosen}:
        own = [tensor for tensor in plan.chosen if tensor.name.split(".")[2] == layer]
        assert [layer, f"{len(own)}", "of", "7", f"{sum(t.params for t in own):,}"] in [words[:5] for words in told]
    assert lines[-1] == str(out)


@pytest.mark.parametrize("tasks", [1, 2])
def test_a_training_would_choose_the_same(run: Command, small: Path, data: Path, tmp_path: Path, tasks: int) -> None:
    chooser = "trace_probe(probe_learning_rate=0.01)"
    other = written(tmp_path / "other.jsonl", [{"prompt": f"{n} and", "completion": " more"} for n in range(20)])
    target = "+".join(str(file) for file in (data, other)[:tasks])
    asked = ("--method", chooser, "--train_items", "16", "--per_device_train_batch_size", "6")
    run(small, target, *asked, "--out", tmp_path / "plan.json")
    options = {
        "method": chooser, "target": target, "model_name_or_path": small, "train_items": 16, "max_steps": 3,
        "per_device_train_batch_size": 6,
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    done = CliRunner().invoke(app, ["train", *words, "--output_dir", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    (trained,) = (tmp_path / "run").rglob("plan.json")
    assert read_plan(trained) == read_plan(tmp_path / "plan.json")


def test_a_list_is_carried_over_and_compared(run: Command, small: Path, data: Path, tmp_path: Path) -> None:
    larger = saved(tmp_path / "larger", layers=4)
    own, out, map_out = (tmp_path / f"{name}.json" for name in ("own", "small", "mapped"))
    run(larger, data, *FAST, "--out", own)
    before = identity_of(open_base(str(larger)).model)
    words = (small, data, *FAST, "--out", out, "--map_to", larger, "--map_out", map_out, "--against", own)
    said = run(*words)
    assert identity_of(open_base(str(larger)).model) == before
    sizes = {name: t.numel() for name, t in open_base(str(larger)).model.named_parameters()}
    plan = read_plan(map_out)
    assert plan == mapped(read_plan(out), sizes, name=str(larger), ratio=0.1)
    assert len(plan.chosen) == 2
    assert f"on {larger}, by trace_probe(probe_learning_rate=0.01): carried over from what it found" in said
    assert "28 tensors in both, 0 in this plan alone, 0 in the other alone" in said
    told = json.loads(run(*words, "--json"))
    assert set(told) == {"plan", "facts", "mapped", "agreement"}
    assert told["mapped"]["settings"]["mapped_to"] == str(larger)
    rho = next(r["value"] for r in told["agreement"] if (r["subject"], r["quantity"]) == ("plan", "spearman"))
    assert f"Spearman of scores, this plan {rho:>29.3f}".split() in [line.split() for line in said.splitlines()]
    assert {fact["quantity"] for fact in told["facts"]} >= {"probe_steps", "probe_tokens", "probe_s"}


def test_missing_files_are_told(run: Command, small: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"there is no file 'nowhere\.jsonl'"):
        run(small, "nowhere.jsonl")
    with pytest.raises(ModelNotFound, match="is no folder here"):
        run("nowhere", data)
    with pytest.raises(DamagedCheckpoint, match=r"other\.json is missing"):
        run(small, data, "--against", tmp_path / "other.json")
    with pytest.raises(ModelNotFound, match="is no folder here"):
        run(small, data, "--map_to", "nowhere")
    with pytest.raises(RecipeError, match="is a folder; name a file for the plan"):
        run(small, data, "--out", tmp_path)
    with pytest.raises(RecipeError, match="map_out: nothing is mapped; say with --map_to to which model"):
        run(small, data, "--map_out", tmp_path / "mapped.json")


def test_a_task_without_examples_is_told(run: Command, small: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises((BadData, RecipeError), match="is empty; expected rows with"):
        run(small, tmp_path / "empty.jsonl")
    long = written(tmp_path / "long.jsonl", [{"prompt": f"{n} " * 40, "completion": " yes"} for n in range(20)])
    with pytest.raises(BadData) as caught:
        run(small, long, "--max_length", "8")
    assert "training examples are longer than max_length (8 tokens) before their answers begin" in str(caught.value)


def test_a_probe_that_diverges_is_told(run: Command, data: Path, tmp_path: Path) -> None:
    broken = saved(tmp_path / "broken", layers=2)
    tensors = load_file(broken / "model.safetensors")
    tensors["lm_head.weight"] *= float("inf")
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingDiverged) as caught:
        run(broken, data, "--out", tmp_path / "plan.json")
    assert str(caught.value) == (
        f"probing task '{data}', the loss became nan at step 0 with learning rate 2e-05; give a lower "
        "probe_learning_rate"
    )
    assert not (tmp_path / "plan.json").exists()


def test_a_share_that_selects_nothing_is_told(run: Command, small: Path, data: Path) -> None:
    with pytest.raises(RecipeError, match=r"ratio=0\.01 of 14 eligible units selects nothing; give a higher ratio"):
        run(small, data, *FAST, "--ratio", "0.01")


def test_a_method_that_chooses_nothing_is_told(run: Command, small: Path, data: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        run(small, data, "--method", "lora")
    assert caught.value.faults == (
        "method: 'lora' chooses no tensors by looking at a task; one that does is trace_probe",
    )
    with pytest.raises(RecipeError) as caught:
        run(small, data, "--method", "lora", "--ratio", "0.1")
    assert caught.value.faults == ("ratio: 'lora' has no such option",)


def test_another_family_is_told(run: Command, small: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_layer": 3, "n_embd": 8, "n_head": 2}))
    with pytest.raises(HoldfastError, match="are they of one family"):
        run(small, data, *FAST, "--map_to", tmp_path)
