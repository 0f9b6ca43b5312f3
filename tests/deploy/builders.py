"""Builders of images on this machine: which of them works, with which options, on which base image."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Seconds for all that is tried: a registry that does not answer is to hold nobody up.
PATIENCE = 120
#: Where a process may not raise its limits, as in many containers, those that builders set by themselves are too high.
LOW_LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
#: How a container of the image runs, in words that `docker` and `podman` have in common.
HARDENED = ("--network=host", "--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges")
PYTHON = f"import sys, venv, ensurepip; assert sys.version_info[:2] == {sys.version_info[:2]}, sys.version"


class NoBuilderError(Exception):
    """No builder works; the message says why each does not, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """A program that builds and runs images, and the options that it needs here."""

    command: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def is_buildah(self) -> bool:
        return Path(self.command[0]).name == "buildah"

    @property
    def build(self) -> tuple[str, ...]:
        # Without `--layers=false` podman leaves each step of the first stage behind as an image.
        layers = ("--layers=false",) if Path(self.command[0]).name == "podman" else ()
        return (*self.command, "build", *layers, *self.options)

    @property
    def run(self) -> tuple[str, ...]:
        """The words before the image, or with buildah the container."""
        # For the rest of what hardens a container buildah has no words.
        return (*self.command, "run", *(["--network=host"] if self.is_buildah else HARDENED), *self.options)


def find(base: str) -> Builder:
    """Return the first builder that runs the Python of an image as the tests do.

    Environment: BYRON_TEST_BUILDER names the only one to try, and BYRON_TEST_BUILDER_OPTIONS its options.

    Raises NoBuilderError.
    """
    deadline = time.monotonic() + PATIENCE
    named = shlex.split(os.environ.get("BYRON_TEST_BUILDER", ""))
    reasons = []
    for command in [named] if named else [["docker"], ["podman"], ["buildah"]]:
        try:
            return _working(tuple(command), base, deadline, named=bool(named))
        except NoBuilderError as error:
            reasons.append(f"{shlex.join(command)}: {error}")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    raise NoBuilderError(
        f"{'; '.join(reasons)}. Install podman or buildah, or start docker. Where {base} cannot be pulled, name an "
        f"image with Python {version} and venv: BYRON_TEST_BASE_IMAGE=localhost/python:{version} make image. "
        "docs/howto/deployment.md makes one from Debian's packages, without root"
    )


def _working(command: tuple[str, ...], base: str, deadline: float, *, named: bool) -> Builder:
    if not shutil.which(command[0]):
        raise NoBuilderError("is not installed")
    plain = Builder(command=command)
    _tried([*command, "info"], deadline)
    podman = Path(command[0]).name == "podman"
    if podman and not named:
        driver = _tried([*command, "info", "--format={{.Store.GraphDriverName}}"], deadline)
        if driver.strip() == "vfs":
            raise NoBuilderError("stores images with vfs, which takes minutes: set overlay in storage.conf")
    try:
        _tried([*command, *(["inspect", "--type=image"] if plain.is_buildah else ["image", "inspect"]), base], deadline)
    except NoBuilderError:
        try:
            _tried([*command, "pull", base], deadline)
        except NoBuilderError as error:
            raise NoBuilderError(f"has no image {base} and cannot pull it ({error})") from None
    first: NoBuilderError | None = None
    for builder in _variants(command, named=named):
        try:
            _try_python(builder, base, deadline)
        except NoBuilderError as error:
            first = first or error
        else:
            return builder
    raise NoBuilderError(f"runs nothing of {base} ({first})")


def _variants(command: tuple[str, ...], *, named: bool) -> Iterator[Builder]:
    options = tuple(shlex.split(os.environ.get("BYRON_TEST_BUILDER_OPTIONS", "")))
    yield Builder(command=command, options=options)
    if options:
        return
    if Builder(command=command).is_buildah:
        yield Builder(command=command, options=("--isolation=chroot",))
        return
    yield Builder(command=command, options=LOW_LIMITS)
    if Path(command[0]).name == "podman" and not named:
        yield Builder(command=(*command, "--runtime=runc"))
        yield Builder(command=(*command, "--runtime=runc"), options=LOW_LIMITS)


def _try_python(builder: Builder, base: str, deadline: float) -> None:
    if not builder.is_buildah:
        _tried([*builder.run, "--rm", "--entrypoint=python3", base, "-c", PYTHON], deadline)
        return
    container = _tried([*builder.command, "from", "--pull-never", base], deadline).split()[-1]
    try:
        _tried([*builder.run, container, "--", "python3", "-c", PYTHON], deadline)
    finally:
        subprocess.run([*builder.command, "rm", container], capture_output=True, check=False, timeout=60)


def _tried(command: list[str], deadline: float) -> str:
    """Run a command to its end and return what it says; raise NoBuilderError with its last line if it fails."""
    left = max(deadline - time.monotonic(), 1)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=left)
    except subprocess.TimeoutExpired:
        raise NoBuilderError(f"`{shlex.join(command[:2])}` did not end in {left:.0f} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise NoBuilderError(said[-1])
    return done.stdout
