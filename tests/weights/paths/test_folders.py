"""A folder is there whole or not at all, and never in place of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.weights.paths.folders import copy_beside, new_folder


def test_a_folder_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    with new_folder(target) as unfinished:
        (unfinished / "a").write_text("a")
        assert not target.exists()
    assert [file.name for file in target.iterdir()] == ["a"]
    assert [path.name for path in target.parent.iterdir()] == ["out"]
    assert target.stat().st_mode & 0o777 == 0o755


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "out") as unfinished:
        (unfinished / "a").write_text("a")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_is_filled_and_a_full_one_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out") as unfinished:
        (unfinished / "a").write_text("a")
    with pytest.raises(FileExistsError) as caught, new_folder(tmp_path / "out"):
        pytest.fail("the block was entered")
    assert str(caught.value) == (
        f"{tmp_path / 'out'} is there already and is not written over: name another folder, or remove it"
    )
    with pytest.raises(FileExistsError), new_folder(tmp_path / "out" / "a"):
        pytest.fail("the block was entered")


def test_only_what_belongs_beside_the_weights_is_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target, source / "checkpoint-10", source / "additional_chat_templates"):
        folder.mkdir()
    kept = ("config.json", "tokenizer.json", "merges.txt", "README.md", "chat_template.jinja", "tokenizer.model")
    left = ("model.safetensors", "optimizer.pt", "training_args.bin", "rng_state.pth", "trainer_state.json")
    for name in (*kept, *left, "additional_chat_templates/tool.jinja"):
        (source / name).write_text(name)
    copy_beside(source, target)
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == {*kept, "additional_chat_templates/tool.jinja"}
