"""Folders of checkpoints, written whole or not at all, with the files that belong beside the weights."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.weights.shards import PICKLES

WEIGHT_FILES = ("*.safetensors", *PICKLES)
TRAINER = ("trainer_state.json",)
"""What belongs to a training and not to the model that came of it; its other files are pickles."""

TEMPLATES = "additional_chat_templates"
"""The one folder that transformers writes beside a tokenizer."""


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to be filled in a ``with`` block; it gets its name only when the block ends well.

    Raises:
        FileExistsError: If there is something under that name already.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already and is not written over: name another folder, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield unfinished
        unfinished.chmod(0o755)  # temporary folders are private; this one becomes an ordinary one
        unfinished.replace(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def copy_beside(source: Path, target: Path) -> None:
    """Copy what lies beside the weights of a checkpoint: configurations, tokenizer, model card."""
    for file in sorted(path for path in source.iterdir() if path.is_file()):
        if file.name not in TRAINER and not any(file.match(pattern) for pattern in WEIGHT_FILES):
            shutil.copy2(file, target / file.name)
    if (source / TEMPLATES).is_dir():
        shutil.copytree(source / TEMPLATES, target / TEMPLATES)
