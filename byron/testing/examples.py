"""Contract tests: everything that schema.yaml declares takes its generated example."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from byron.cache.roles import Role, acting_as
from byron.commands.unwritten import noting_unwritten
from byron.commands.versions import version_of
from byron.schema.examples import EXAMPLE_ID, example_arguments, example_payload
from byron.schema.model import Command
from byron.schema.names import ANYONE
from byron.schema.problems import did_you_mean
from byron.schema.reads import VERSION
from byron.testing.events import event
from byron.testing.failures import GraphQLFailure
from byron.testing.reports import told

if TYPE_CHECKING:
    from byron.testing.component import ComponentUnderTest

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

#: Codes of answers that are no business decision: the example or the code does not go with the declaration.
_CONTRADICTIONS = frozenset(
    {
        "INTERNAL_ERROR",
        "BAD_USER_INPUT",
        "GRAPHQL_VALIDATION_FAILED",
        "GRAPHQL_PARSE_FAILED",
        "TIME_LIMIT",
        # What a generated function answers until it is written.
        "NOT_IMPLEMENTED",
    }
)


def run_examples(component: ComponentUnderTest, skip: Collection[str] = ()) -> list[str]:
    """Put an example of each event into the log and apply it, then run each command; return what was run.

    A command may refuse its example by a CommandError: that is its business. Raises AssertionError with
    everything else that went wrong, and with the handled events that no example was found for; LookupError for
    a name in `skip` that is nothing declared.
    """
    _require_declared(component, skip)
    done: list[str] = []
    problems: list[str] = []
    with noting_unwritten() as unwritten:
        for name in _events(component):
            if name not in skip and component.config.component.payload_type(name) is not None:
                done.append(name)
                problems += _apply(component, name)
        for command in component.config.component.content.commands:
            if command.name not in skip:
                done.append(command.name)
                problems += _run(component, command)
    for function, causes in unwritten.items():
        asked = [each for each in causes if each not in skip]
        if asked:
            of = "" if function.name == asked[0] else f" of {asked[0]}"
            problems.append(f"  {function}{of}: it is not written yet; it only calls ctx.unwritten()")
    # A command may have emitted what nothing else tells how to make.
    seen = {each.name for each in component.events}
    for name in _events(component):
        if name not in skip and name not in done and name not in seen:
            remedy = f"declare it under events:, or leave it out by skip=[{name!r}]"
            problems.append(f"  the event {name}: nothing tells what it carries; {remedy}")
    if problems:
        raise AssertionError("Examples of the schema that its component does not take:\n" + "\n".join(problems))
    return done


def _events(component: ComponentUnderTest) -> Iterator[str]:
    """Give the events; those that make an entity first."""
    declared = component.config.component
    names = dict.fromkeys([*declared.events, *declared.handlers])
    return iter(sorted(names, key=lambda name: not _creates(component, name)))


def _require_declared(component: ComponentUnderTest, skip: Collection[str]) -> None:
    if isinstance(skip, str):
        raise TypeError(f'skip takes a list: write skip=["{skip}"]')
    declared = component.config.component
    known = [*declared.commands, *dict.fromkeys([*declared.events, *declared.handlers])]
    for name in skip:
        if name not in known:
            hint = did_you_mean(name, known)
            raise LookupError(f"schema.yaml declares no command and no event {name!r}{hint}")


def _creates(component: ComponentUnderTest, name: str) -> bool:
    handlers = component.config.component.handlers.get(name, ())
    return any(handler.apply is not None and handler.apply.operation in ("create", "upsert") for handler in handlers)


def _apply(component: ComponentUnderTest, name: str) -> Iterator[str]:
    payload = example_payload(component.config.component, name) or {}
    try:
        component.publish(event(name, payload))
        component.settle()
    except Exception as error:
        yield f"  the event {name} with {payload!r}: {told(error)}"
        component.forget_pending()


def _run(component: ComponentUnderTest, command: Command) -> Iterator[str]:
    acting = component if not _roles(command) else component.as_user("example", roles=_roles(command))
    for complete in (False, True):
        arguments = example_arguments(component.config.component, command, complete=complete)
        if complete and arguments == example_arguments(component.config.component, command):
            return
        if command.version:
            arguments[VERSION] = _version(component, command)
        try:
            acting.run(command.name, **arguments)
            component.settle()
        except GraphQLFailure as failure:
            if failure.code in _CONTRADICTIONS:
                yield f"  the {command.type} {command.name} with {arguments!r}: {failure}"
        except Exception as error:
            yield f"  what {command.name} emits, given {arguments!r}: {told(error)}"
            component.forget_pending()


def _version(component: ComponentUnderTest, command: Command) -> str:
    """Return the version that the entity of the examples has now: another one would be refused."""
    model = component.config.get_model(command.return_type.name)
    with acting_as(Role.MAINTENANCE):
        found = model._default_manager.using(component.config.alias).filter(pk=EXAMPLE_ID).first()
    return version_of(found)


def _roles(command: Command) -> list[str]:
    return [role for role in command.roles or () if role != ANYONE]
