"""A wheel of this tree, installed in an empty environment elsewhere, works as the checkout does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

pytestmark = pytest.mark.broker
ROOT = Path(__file__).resolve().parent.parent.parent
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")


def run(*command: object, directory: Path) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("BYRON_", "DJANGO_", "PYTHON"))}
    environment = {**kept, "XDG_STATE_HOME": str(directory / "state"), "VIRTUAL_ENV": ""}
    finished = subprocess.run(
        [str(part) for part in command], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_the_wheel_works_the_same_as_the_checkout(tmp_path):
    # A copy, because a build leaves its traces in the tree.
    shutil.copytree(ROOT, tmp_path / "source", ignore=NOT_COPIED)
    options = ["--wheel", "--no-isolation", "--outdir", tmp_path / "dist", tmp_path / "source"]
    run(sys.executable, "-m", "build", *options, directory=tmp_path)
    shutil.rmtree(tmp_path / "source")
    [wheel] = (tmp_path / "dist").glob("byron_framework-*.whl")
    venv.create(tmp_path / "venv")
    scripts = tmp_path / "venv" / "bin"
    requirement = f"byron-framework[embedded,test] @ file://{wheel}"
    pip = [sys.executable, "-m", "pip", "--python", scripts / "python"]
    run(*pip, "install", "-q", "--no-compile", requirement, directory=tmp_path)

    run(scripts / "byron-admin", "startcomponent", "students", directory=tmp_path)
    project = tmp_path / "students"
    assert " passed" in run(scripts / "python", "-m", "pytest", "-q", directory=project)
    assert "up to date" in run(scripts / "python", "manage.py", "generate", "--check", directory=project)
    assert "no issues" in run(scripts / "python", "manage.py", "check", directory=project)
    assert "running, pid" in run(scripts / "byron", "infrastructure", "up", "-N", "Calisto", directory=project)
    assert "stopped" in run(scripts / "byron", "infrastructure", "down", "-N", "Calisto", directory=project)
    run(
        scripts / "python",
        "-c",
        "from django.contrib.staticfiles import finders; import byron.project, os, django;"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'; django.setup();"
        "assert finders.find('byron/graphiql.js'); from django.template.loader import get_template;"
        "get_template('byron/graphiql.html')",
        directory=project,
    )
