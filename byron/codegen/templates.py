"""Byron's templates: where they are, and how they become text."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jinja2
from ruff import find_ruff_bin

import byron
from byron.exceptions import GenerationError

PROJECT = "project_template"
COMPONENT = "app_template"
DEPLOYMENT = "deploy_template"
GATEWAY = "gateway_template"
#: Ends the name of every template, so that tools do not take one for what it makes.
SUFFIX = ".jinja"


@cache
def template_directory(name: str) -> Path:
    """Return where a template lies: inside the installed package, or beside it in a checkout."""
    package = Path(byron.__file__).parent
    for directory in (package / name, package.parent / name):
        if directory.is_dir():
            return directory
    raise GenerationError(f"Byron's {name} is missing from this installation; install byron-framework again.")


@cache
def _environment(name: str) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_directory(name)),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        # Python and YAML, not HTML; the schema has checked every name.
        autoescape=False,
    )


def render(name: str, template: str, context: Mapping[str, Any]) -> str:
    """Return a template's text; `name` is PROJECT, COMPONENT, DEPLOYMENT or GATEWAY."""
    return _environment(name).get_template(template + SUFFIX).render(context)


def template_files(name: str) -> list[str]:
    """Return the templates of a directory, without their suffix, in a stable order."""
    directory = template_directory(name)
    found = (path for path in directory.rglob(f"*{SUFFIX}") if path.is_file())
    return sorted(str(path.relative_to(directory)).removesuffix(SUFFIX) for path in found)


def format_python(texts: Mapping[str, str]) -> dict[str, str]:
    """Return Python texts, by file name, formatted and with their imports in order.

    One run of ruff does all of them. Raises GenerationError when one is not Python.
    """
    with TemporaryDirectory(prefix="byron-") as name:
        directory = Path(name)
        for file, text in texts.items():
            path = directory / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        options = ["--isolated", "--quiet", "--no-cache", "--config", "line-length = 120", str(directory)]
        for command in (["check", "--fix", "--select", "I,F401"], ["format"]):
            finished = subprocess.run(
                [find_ruff_bin(), *command, *options], cwd=directory, capture_output=True, text=True, check=False
            )
            if finished.returncode:
                raise GenerationError(f"Generated Python could not be formatted:\n{finished.stdout}{finished.stderr}")
        return {file: (directory / file).read_text() for file in texts}
