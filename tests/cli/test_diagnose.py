"""The command reads prompts and folders as users name them, and says what is wrong with them before it begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small import METHODS, moved

from holdfast.cli import diagnose as command
from holdfast.cli.diagnose import DIAGNOSIS, asked, diagnose
from holdfast.cli.main import app
from holdfast.core import registry
from holdfast.core.diagnosis import CONTROL, UPDATE, Diagnosis, read_diagnosis
from holdfast.core.errors import BadData, DamagedCheckpoint, ModelNotFound, RecipeError, UnknownName, UnsafeFile
from holdfast.models.base import Base, located, open_base
from holdfast.store.spectra import CACHE

WORDS = "the heron and the tern walk along the river in the evening"


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.txt"
    file.write_text("\n".join(f"{WORDS} {number}" for number in range(9)))
    return file


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter")
    attachment = moved(METHODS["lora"], open_base("miniature").model)
    attachment.save(folder)
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Diagnosis]:
    """The command, with the page that it writes left out."""
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    seen: list[tuple[Path, bool]] = []
    monkeypatch.setattr(command, "published", lambda found, folder, *, as_json: seen.append((folder, as_json)))

    def diagnosed(tuned: Path, **given: Any) -> Diagnosis:
        options = {"general": None, "target": None, "max_prompts": 6, "tokens_per_prompt": 4, "sites": None,
                   "controls": True, "dtype": "auto", "trust_remote_code": False, "allow_pickle": False,
                   "as_json": False, "output_dir": tmp_path / "out"}  # fmt: skip
        diagnose("miniature", tuned, **{**options, **given})
        assert seen == [(tmp_path / "out", bool(given.get("as_json")))]
        return read_diagnosis(tmp_path / "out" / DIAGNOSIS)

    return diagnosed


def test_prompts_of_a_file_are_read_in_tokens_of_the_base(miniature: Base, prompts: Path) -> None:
    found = asked(str(prompts), miniature, 4, 3)
    assert found.source == str(prompts)
    assert len(found.prompts) == 4
    texts = prompts.read_text().splitlines()
    assert set(found.prompts) <= {tuple(miniature.tokenizer(text)["input_ids"]) for text in texts}


def test_prompts_of_tasks_and_suites_are_those_that_are_kept_for_tests(miniature: Base) -> None:
    assert len(asked("recall", miniature, 5, 2).prompts) == 5
    assert 0 < len(asked(registry.names("suites")[0], miniature, 4, 2).prompts) <= 4


def test_prompts_that_are_too_short_are_left_out(miniature: Base, tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_text(f"a\n{WORDS}\nb")
    assert len(asked(str(file), miniature, 9, 6).prompts) == 1


def test_prompts_that_are_all_too_short_are_refused(miniature: Base, tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_text("a\nb")
    with pytest.raises(BadData) as caught:
        asked(str(file), miniature, 9, 60)
    assert str(caught.value) == (
        f"'{file}': none of its 2 prompts has 60 tokens after its first; give longer prompts, or a smaller "
        "--tokens_per_prompt"
    )


def test_long_prompts_are_read_as_far_as_the_model_goes(miniature: Base, tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_text(" ".join([WORDS] * 400))
    most = min(miniature.model.config.max_position_embeddings, command.LONGEST)
    assert [len(row) for row in asked(str(file), miniature, 9, 4).prompts] == [most]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("nosuch.txt", BadData, "there is no file 'nosuch.txt'"),
        ("nosuch.csv", BadData, "nosuch.csv: prompts are read from .txt, .jsonl, .json"),
        ("recal", RecipeError, "unknown task, suite or file 'recal': did you mean 'recall'?"),
    ],
)
def test_prompts_that_are_not_there_are_named(miniature: Base, text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        asked(text, miniature, 9, 4)
    assert said in str(caught.value)


def test_an_adapter_is_diagnosed_with_prompts(run: Callable[..., Diagnosis], adapter: Path, prompts: Path) -> None:
    found = run(adapter, general=str(prompts), target="recall", sites=["model.layers.0.mlp.down_proj"], as_json=True)
    assert [(one.role, one.source, one.count, one.tokens) for one in found.prompts] == [
        ("general", str(prompts), 6, 24),
        ("target", "recall", 6, 24),
    ]
    assert {one.site for one in found.records if one.quantity == "cka_biased/general"} == {
        "model.layers.0.mlp.down_proj"
    }
    assert any(one.quantity == "drift_ratio_relative" and one.value for one in found.records)
    assert (found.base, found.tuned, found.form) == ("miniature", str(adapter), "lora adapter")


def test_an_adapter_is_diagnosed_without_prompts_and_controls(run: Callable[..., Diagnosis], adapter: Path) -> None:
    found = run(adapter, controls=False)
    assert found.prompts == ()
    assert {one.subject for one in found.records} == {UPDATE}
    assert CONTROL not in {one.subject for one in found.curves}


def test_sites_without_prompts_are_refused(run: Callable[..., Diagnosis], adapter: Path) -> None:
    with pytest.raises(BadData) as caught:
        run(adapter, sites=["model.norm"])
    assert str(caught.value) == "--site: what modules say is compared on prompts; give --general or --target too"


def test_an_unknown_site_names_the_nearest(run: Callable[..., Diagnosis], adapter: Path, prompts: Path) -> None:
    with pytest.raises(UnknownName) as caught:
        run(adapter, general=str(prompts), sites=["model.layers.0.mlp.down_pro"])
    assert str(caught.value) == (
        "unknown module 'model.layers.0.mlp.down_pro': did you mean 'model.layers.0.mlp.down_proj'?"
    )


def test_a_folder_that_is_none_is_named(run: Callable[..., Diagnosis], tmp_path: Path) -> None:
    with pytest.raises(DamagedCheckpoint) as caught:
        run(tmp_path / "nosuch")
    assert str(caught.value) == (
        f"{tmp_path / 'nosuch'} holds no model.safetensors and no model.safetensors.index.json: is it a model folder?"
    )


def test_a_pickled_model_is_read_on_request_and_refused_by_the_name_of_the_option(
    run: Callable[..., Diagnosis], tmp_path: Path, prompts: Path
) -> None:
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    held = load_file(Path(located("miniature")) / "model.safetensors")
    up = next(name for name in sorted(held) if "up_proj" in name)
    torch.save({**held, up: 1.01 * held[up]}, tuned / "pytorch_model.bin")
    with pytest.raises(UnsafeFile) as caught:
        run(tuned)
    assert str(caught.value) == (
        f"{tuned} holds its weights in pytorch_model.bin, a pickle, which can run code when opened; save the model "
        "with safe_serialization=True, or pass --allow_pickle if you trust its origin"
    )
    found = run(tuned, controls=False, allow_pickle=True, general=str(prompts), sites=["model.layers.0.mlp.up_proj"])
    sizes = {one.site: one.value for one in found.records if one.quantity == "relative_size_frobenius" and one.site}
    assert sizes.pop(up.removesuffix(".weight")) == pytest.approx(0.01, rel=1e-3)
    assert set(sizes.values()) == {0.0}
    assert any(one.quantity == "drift_relative/general" and one.value for one in found.records)


def test_the_command_is_there_under_its_name(tmp_path: Path, adapter: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        app(["diagnose", "nosuch/base", str(adapter), "--output_dir", str(tmp_path / "out")], standalone_mode=False)
    assert "'nosuch/base' is no folder here" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_is_published_is_a_page_and_on_request_the_records(
    tmp_path: Path, adapter: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    app(["diagnose", "miniature", str(adapter), "--output_dir", str(tmp_path), "--json"], standalone_mode=False)
    assert Diagnosis.model_validate_json(capsys.readouterr().out) == read_diagnosis(tmp_path / DIAGNOSIS)
    assert any(file.suffix == ".html" for file in tmp_path.iterdir())
