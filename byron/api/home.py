"""The page at `/`, for developers: what the components of this project are, and how they are doing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

import byron
from byron.api.errors import RequestError, failure
from byron.api.health import component_states
from byron.commands.functions import COMMANDS, HANDLERS
from byron.conf import byron_settings
from byron.schema.installed import ComponentConfig, installed_components
from byron.schema.model import Command, Component, Handler, Hooks
from byron.schema.reads import arguments_of

#: The page needs its own style sheet and nothing else, wherever it came from.
_POLICY = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An address of the project, relative to the page's own."""

    text: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing about a component's state: `level` is ok, warning, error or unknown."""

    name: str
    value: str
    level: str = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEntry:
    """A command as its clients see it, and what runs it."""

    name: str
    kind: str
    arguments: list[str]
    returns: str
    done_by: str
    roles: str
    hooks: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerEntry:
    """A handler, its event, and what it does."""

    name: str
    event: str
    done_by: str
    hooks: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEntry:
    """An event that the schema names: its payload, the commands that declare to emit it, and its handlers."""

    name: str
    payload: str
    emitted_by: str
    handled_by: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentEntry:
    """One component of the project."""

    label: str
    problems: str
    links: list[Link]
    state: list[Fact]
    component: Component | None = None
    commands: tuple[CommandEntry, ...] = ()
    handlers: tuple[HandlerEntry, ...] = ()
    events: tuple[EventEntry, ...] = ()


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show what this project's components are. Under DEBUG only: it is for those who work on them."""
    if not settings.DEBUG:
        message = "There is nothing at this address."
        return failure(RequestError(message, code="NOT_FOUND", status=HTTPStatus.NOT_FOUND))
    context = {"components": component_entries(), "version": byron.__version__}
    page = render(request, "byron/home.html", context)
    page["Content-Security-Policy"] = _POLICY
    page["Cache-Control"] = "no-store"
    return page


def component_entries() -> list[ComponentEntry]:
    """Return what the page tells of each component, in the project's order."""
    states = component_states()
    return [
        _entry(config, states[config.label], first=index == 0) for index, config in enumerate(installed_components())
    ]


def _entry(config: ComponentConfig, state: dict[str, Any], *, first: bool) -> ComponentEntry:
    if config.schema_problems:
        facts = [Fact(name="Schema", value="has problems", level="error")]
        return ComponentEntry(label=config.label, problems=config.schema_problems, links=[], state=facts)
    component = config.component
    return ComponentEntry(
        label=config.label,
        problems="",
        links=list(_links("" if first else f"{config.label}/")),
        state=list(_facts(state)),
        component=component,
        commands=tuple(_command(component, command) for command in component.content.commands),
        handlers=tuple(_handler(handler) for handler in component.content.handlers),
        events=tuple(_events(component)),
    )


def _links(prefix: str) -> Iterator[Link]:
    if byron_settings().graphiql_enabled:
        yield Link(text="GraphiQL", address=f"{prefix}graphql/")
    if byron_settings().introspection_enabled:
        yield Link(text="schema.graphql", address=f"{prefix}schema.graphql")


def _facts(state: dict[str, Any]) -> Iterator[Fact]:
    """Give what /readyz tells, each with how bad it is."""
    cache, broker, sinks = state["cache"], state["broker"], state["sinks"]
    yield Fact(name="Cache", value=cache, level="ok" if cache == "ok" else "error")
    yield Fact(name="Broker", value=broker, level="ok" if broker.startswith("ok") else "error")
    yield Fact(name="Sinks", value=_number(sinks) if sinks else "none runs", level="ok" if sinks else "warning")
    yield Fact(name="Applied up to", value=_number(state["position"]), level=_known(state["position"]))
    yield Fact(name="Log’s end", value=_number(state["last"]), level=_known(state["last"]))
    parked = state["parked"]
    yield Fact(name="Parked events", value=_number(parked), level="warning" if parked else _known(parked))


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _known(value: int | None) -> str:
    return "unknown" if value is None else "ok"


_READS = {"list": "reads a list of", "get": "reads one", "count": "counts"}


def _command(component: Component, command: Command) -> CommandEntry:
    if command.read is not None:
        done_by = f"{_READS[command.read.kind]} {command.read.target}"
    elif command.emit is not None:
        done_by = f"emits {command.emit.event}"
    else:
        done_by = _file(COMMANDS, command.python_name)
    return CommandEntry(
        name=command.name,
        kind=command.type,
        arguments=[f"{each.name}: {each.type}" for each in arguments_of(component, command)],
        returns=str(command.return_type),
        done_by=done_by,
        roles=", ".join(command.roles or ()),
        hooks=_hooks(command.hooks),
        description=command.description or "",
    )


def _handler(handler: Handler) -> HandlerEntry:
    apply = handler.apply
    return HandlerEntry(
        name=handler.name,
        event=handler.event,
        done_by=f"{apply.operation}s {apply.target}" if apply else _file(HANDLERS, handler.python_name),
        hooks=_hooks(handler.hooks),
        description=handler.description or "",
    )


def _events(component: Component) -> Iterator[EventEntry]:
    emitters: dict[str, list[str]] = {name: [] for name in component.events}
    for command in component.content.commands:
        if command.emit is not None:
            emitters.setdefault(command.emit.event, []).append(command.name)
    for name in sorted({*emitters, *component.handlers}):
        payload, declared = component.payload_type(name), component.events.get(name)
        yield EventEntry(
            name=name,
            payload=payload.name if payload else "",
            emitted_by=", ".join(emitters.get(name, ())),
            handled_by=", ".join(handler.name for handler in component.handlers.get(name, ())),
            description=(declared.description if declared else None) or "",
        )


def _file(folder: str, name: str) -> str:
    return f"{folder.replace('.', '/')}/{name}.py"


def _hooks(hooks: Hooks) -> str:
    around = {"before": hooks.before, "after": hooks.after}
    return "; ".join(f"{when}: {', '.join(names)}" for when, names in around.items() if names)
