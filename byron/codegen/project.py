"""A project and its components: created whole or not at all, and kept up with schema.yaml."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

import byron
from byron.codegen.component import component_files
from byron.codegen.deployment import DeployedComponent, deployment_plan
from byron.codegen.migrations import new_migration
from byron.codegen.plan import Change, Owner, Plan, PlannedFile, write_file
from byron.codegen.templates import COMPONENT, PROJECT, format_python, render, template_files
from byron.exceptions import GenerationError
from byron.schema.installed import SCHEMA_FILE, ComponentConfig
from byron.schema.loader import load
from byron.schema.model import Component
from byron.schema.names import COMPONENT_PATTERN, is_python_word, pascal_case, snake_case
from byron.schema.places import shown
from byron.schema.reader import parse_component

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")
_LONGEST_LABEL = 40
_TAKEN = frozenset({"byron", "config", "deploy", "tests", "test", "manage", "default"})


def component_label(name: str) -> str:
    """Return the app label of a component's name: `studyGroups` is `study_groups`.

    Raises GenerationError for a name that cannot be a Python package of its own.
    """
    if not _NAME.fullmatch(name) or not name.isascii():
        raise GenerationError(f"{name!r} cannot be a component's name: use letters and digits, a letter first.")
    label = snake_case(name)
    if len(label) > _LONGEST_LABEL:
        raise GenerationError(f"{name!r} is too long for a component's name: {_LONGEST_LABEL} characters at most.")
    if is_python_word(label) or label in _TAKEN or label in sys.stdlib_module_names:
        raise GenerationError(f"{name!r} cannot be a component's name: Python, Django or Byron uses {label!r} itself.")
    return label


def create_project(name: str, directory: Path, *, schema: Path | None = None, namespace: str | None = None) -> Path:
    """Make a project with one component in a new or empty directory, and return the directory.

    Without `schema` it is the Student example. Raises GenerationError or InvalidSchemaError, and then
    nothing was written.
    """
    label = component_label(name)
    _refuse_importable(label)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise GenerationError(f"{directory} exists already and is not an empty directory; choose another --directory.")
    text = schema_text(label, schema, namespace)
    component = parse_component(text, _shown_schema(schema))
    context = {"component": component, "label": label, "version": byron.__version__}
    with _all_or_nothing(directory) as workplace:
        shell = {file: render(PROJECT, file, context) for file in template_files(PROJECT)}
        shell.update(format_python({file: text for file, text in shell.items() if file.endswith(".py")}))
        for file, content in shell.items():
            planned = PlannedFile(path=file, text=content, owner=Owner.DEVELOPER, executable=file == "manage.py")
            write_file(workplace / file, planned)
        _write_component(workplace / label, component, label, text)
        deployed = DeployedComponent(label=label, component=component, directory=workplace / label)
        deployment_plan(workplace, [deployed]).apply()
    return directory


def add_component(name: str, project: Path, *, schema: Path | None = None, namespace: str | None = None) -> Path:
    """Add a component to a project, and return its directory. Raises as `create_project` does."""
    label = component_label(name)
    directory = project / label
    if directory.exists():
        raise GenerationError(f"{directory} exists already; choose another name, or remove it.")
    _refuse_importable(label)
    text = schema_text(label, schema, namespace)
    component = parse_component(text, _shown_schema(schema))
    with _all_or_nothing(directory) as workplace:
        _write_component(workplace, component, label, text)
    return directory


def component_plan(config: ComponentConfig) -> Plan:
    """Return what `manage.py generate` does for an installed component."""
    return _plan(Path(config.path), config.component, config.label)


def installed_plans(components: Sequence[ComponentConfig]) -> list[Plan]:
    """Return what `manage.py generate` does: a plan for each component, and one for the project that runs them.

    Settings without BASE_DIR, or whose BASE_DIR has no manage.py, are no project that is deployed.
    """
    plans = [component_plan(config) for config in components]
    project = getattr(settings, "BASE_DIR", None)
    if project is not None and (Path(project) / "manage.py").exists():
        plans.append(deployment_plan(Path(project), components))
    return plans


def schema_text(label: str, schema: Path | None, namespace: str | None) -> str:
    """Return the schema.yaml of a new component, with its namespace replaced when one is given.

    Raises GenerationError when the file cannot be read or the namespace is no name, and
    InvalidSchemaError when the text cannot be.
    """
    if namespace is not None and not (re.match(COMPONENT_PATTERN, namespace) and namespace.isalnum()):
        raise GenerationError(f"{namespace!r} cannot be a namespace: use letters and digits, a letter first.")
    if schema is None:
        text = render(COMPONENT, "schema.yaml", {"name": pascal_case(label)})
    else:
        try:
            text = schema.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise GenerationError(f"{schema} cannot be read: {error.strerror}.") from error
    return text if namespace is None else _with_namespace(text, namespace, _shown_schema(schema))


def _shown_schema(schema: Path | None) -> str:
    return shown(schema) if schema is not None else SCHEMA_FILE


def _with_namespace(text: str, namespace: str, filename: str) -> str:
    document = load(text, filename)
    place = document.values.get(("namespace",))
    if place is None:
        return text
    lines = text.splitlines(keepends=True)
    line = lines[place.line - 1]
    written = re.match(r"""("[^"\n]*"|'[^'\n]*'|[^\s#,}]+)""", line[place.column - 1 :])
    if written:
        start = place.column - 1
        lines[place.line - 1] = line[:start] + namespace + line[start + written.end() :]
    return "".join(lines)


def _write_component(directory: Path, component: Component, label: str, schema: str) -> list[Change]:
    write_file(directory / SCHEMA_FILE, PlannedFile(path=SCHEMA_FILE, text=schema, owner=Owner.DEVELOPER))
    return _plan(directory, component, label).apply()


def _plan(directory: Path, component: Component, label: str) -> Plan:
    migration = new_migration(component, label)
    files = component_files(component, label, migration)
    return Plan(directory, files, warnings=migration.warnings if migration is not None else ())


def _refuse_importable(label: str) -> None:
    spec = importlib.util.find_spec(label)
    # A folder of that name that happens to be in sight has no origin, and is no module.
    if spec is not None and spec.origin is not None:
        raise GenerationError(f"{label!r} cannot be a component's name: a Python module of that name is installed.")


@contextmanager
def _all_or_nothing(directory: Path) -> Iterator[Path]:
    """Give a directory beside the wanted one to fill, and move it into place when all went well."""
    directory = directory.absolute()
    missing = [parent for parent in (directory, *directory.parents) if not parent.exists()]
    directory.parent.mkdir(parents=True, exist_ok=True)
    workplace = Path(tempfile.mkdtemp(prefix=".byron-", dir=directory.parent))
    try:
        yield workplace
        workplace.chmod(0o755)
        if directory.exists():
            directory.rmdir()
        workplace.rename(directory)
    except BaseException:
        shutil.rmtree(workplace, ignore_errors=True)
        for parent in missing[1:]:
            parent.rmdir()
        raise
