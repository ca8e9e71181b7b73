"""Commands and programs here and now: a process of its own would load every library once more, for eight seconds."""

from __future__ import annotations

import io
import os
import runpy
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest

from holdfast.cli.main import main


def holdfast(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """What ``holdfast WORDS`` prints and ends with."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["holdfast", *words]),
        mock.patch.dict(os.environ, {"COLUMNS": "120", **env}),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        main()
    assert isinstance(end.value.code, int), "the command line ends with a code"
    return subprocess.CompletedProcess(words, end.value.code, out.getvalue(), err.getvalue())


def printed(program: Path) -> str:
    """What a program prints that is run as the main one; what its libraries warn of is for its own users."""
    out = io.StringIO()
    with warnings.catch_warnings(action="ignore"), mock.patch.object(sys, "argv", [str(program)]), redirect_stdout(out):
        runpy.run_path(str(program), run_name="__main__")
    return out.getvalue()
