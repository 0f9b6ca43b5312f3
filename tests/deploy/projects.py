"""Projects of all kinds, with the files that deploy them."""

from __future__ import annotations

from pathlib import Path

from byron.codegen.deployment import DeployedComponent, deployment_plan
from byron.schema.reader import parse_component

ROOT = Path(__file__).resolve().parent.parent.parent
#: A component that reacts to nothing.
QUIET = """name: "{name}"
namespace: Calisto
content:
  types: [{{name: Thing, attributes: [{{name: title, type: "String!"}}]}}]
  commands: [{{name: getThings, type: query, returnType: "[Thing!]!", read: {{list: Thing}}}}]
"""
#: And one that does.
BUSY = (
    QUIET
    + """  events: [{{name: new.thing, payload: Thing}}]
  handlers: [{{name: newThing, event: new.thing, apply: {{create: Thing}}}}]
"""
)


def component(project: Path, label: str, schema: str = BUSY, *, name: str = "Thing") -> DeployedComponent:
    """Return a component of a project that exists on paper only."""
    return DeployedComponent(
        label=label, component=parse_component(schema.format(name=name)), directory=project / label
    )


def made(project: Path, *components: DeployedComponent) -> Path:
    """Write the files of a project and return its directory."""
    project.mkdir(parents=True, exist_ok=True)
    deployment_plan(project, components).apply()
    return project


def one(directory: Path) -> Path:
    return made(directory / "one", component(directory / "one", "things"))


def several(directory: Path) -> Path:
    """Names that YAML reads as something else, long ones, and a component without handlers."""
    project = directory / "several"
    long = component(project, "a_component_with_quite_a_long_name_indeed", name="Long")
    return made(project, component(project, "no", name="No"), component(project, "quiet", QUIET, name="Quiet"), long)


def quiet(directory: Path) -> Path:
    return made(directory / "quiet", component(directory / "quiet", "quiet", QUIET))


def hello(directory: Path) -> Path:
    return ROOT / "examples/hello"


def auth(directory: Path) -> Path:
    return ROOT / "examples/perses/auth"


def grouping(directory: Path) -> Path:
    return ROOT / "examples/perses/grouping"


def monolith(directory: Path) -> Path:
    return ROOT / "examples/perses/monolith"


PROJECTS = (one, several, quiet, hello, auth, grouping, monolith)
