"""The example component and the repository's own manage.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
HELLO = ROOT / "examples" / "hello"


def run(directory: Path, state: Path, *command: str, **extra: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("BYRON_", "DJANGO_"))}
    environment = {**kept, "XDG_STATE_HOME": str(state), **extra}
    finished = subprocess.run(
        [sys.executable, *command], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_its_schema_is_listing_2():
    listing = ROOT / "tests/schema/listings/listing_2.yaml"

    assert (HELLO / "students/schema.yaml").read_bytes() == listing.read_bytes()


def test_its_own_tests_pass(tmp_path):
    assert "1 passed" in run(HELLO, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", DEBUG="true")


def test_the_repository_s_manage_py_runs_it(tmp_path):
    assert "up to date" in run(ROOT, tmp_path, "manage.py", "generate", "--check")


@pytest.mark.broker
def test_the_demonstration_shows_the_way_of_a_student(tmp_path):
    # A Cache of its own: the checkout's one goes with another log.
    places = {"CACHE_URL": f"sqlite:///{tmp_path / 'cache.sqlite3'}", "TMPDIR": str(tmp_path)}
    shown = run(ROOT, tmp_path / "state", "examples/demo.py", "--port", str(free_port()), "--once", **places)

    assert "new.student" in shown
    assert "read back" in shown
    assert shown.endswith("Everything is stopped.\n")
    assert not list(tmp_path.glob("byron-demo-*"))
