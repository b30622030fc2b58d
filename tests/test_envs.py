"""The environment files are what the lock says."""

import importlib.util
import os
import shutil

import pytest


def test_environment_files_are_in_step_with_the_lock(checkout):
    if not (os.environ.get("UV") or shutil.which("uv")):
        pytest.skip("uv is not on the path: the environment files cannot be printed again")
    spec = importlib.util.spec_from_file_location("export", checkout / "envs/export.py")
    export = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(export)
    for name, text in export.files().items():
        assert (checkout / "envs" / name).read_text() == text, "uv run python envs/export.py"
