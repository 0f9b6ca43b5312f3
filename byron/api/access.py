"""Whether a request may be looked at: its token, and the roles of every command that its operation names.

All of it comes before validation: who has no business with a command learns nothing of its arguments. Of a document
that is not valid, all that it names counts: its problems would tell of commands that the operation does not run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    NamedTypeNode,
    Node,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_operation_ast,
    visit,
)

from byron.api.documents.fragments import fragments_of
from byron.api.documents.reach import commands_by_type
from byron.api.identity.authentication import requesting_user
from byron.commands.access import UNAUTHENTICATED, check_any_access
from byron.exceptions import AuthenticationError, CommandError, KeysUnavailableError
from byron.schema.federation import ENTITIES, entity_reads
from byron.schema.model import Command, Component

log = logging.getLogger("byron.api")

#: Characters of a reason in the log, at most: some of it may be the sender's own words.
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A request that goes no further, as HTTP says it."""

    status: int
    errors: tuple[GraphQLError, ...]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, Any]:
        return {"errors": [error.formatted for error in self.errors]}


def identify(request: HttpRequest) -> Refusal | None:
    """Set `request.user` to who sends the request, or return why that cannot be told."""
    try:
        request.user = requesting_user(request)
    except AuthenticationError as error:
        reason = str(error)[:_LONGEST_REASON]
        log.info("refused a token: %r", reason)
        told = f"The token is not accepted: {reason}." if settings.DEBUG else "The token is not accepted."
        return Refusal(
            status=401,
            errors=(GraphQLError(told, extensions={"code": UNAUTHENTICATED}),),
            headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
        )
    except KeysUnavailableError as error:
        log.error("tokens cannot be checked: %s", error)
        told = "Tokens cannot be checked at the moment; nothing was done. Try again later."
        return Refusal(
            status=503,
            errors=(GraphQLError(told, extensions={"code": "AUTHENTICATION_UNAVAILABLE"}),),
            headers={"Retry-After": "5"},
        )
    return None


def operation_refusal(
    document: DocumentNode, operation_name: str | None, component: Component, user: Any
) -> Refusal | None:
    """Return why an operation is refused as a whole: one of its commands is not for this user. None when all are.

    The document need not be valid. A command counts wherever the operation names it at its root, in fragments and
    under `@skip` and `@include` too.
    """
    operation = get_operation_ast(document, operation_name)
    if operation is None:
        return None
    fragments = fragments_of(document)
    fields = _root_fields(operation.selection_set, fragments)
    return _refusal(_of_fields(fields, fragments, component), component, user)


def invalid_document_refusal(
    document: DocumentNode, schema: GraphQLSchema, component: Component, user: Any
) -> Refusal | None:
    """Return why a document's problems are not told: what it names, anywhere, is not for this user.

    That is a command; or a type that only such commands have to do with, since a variable or a fragment can name it
    without any of them.
    """
    if not any(command.roles for command in component.content.commands):
        return None
    found = _Named(TypeInfo(schema), schema)
    visit(document, TypeInfoVisitor(found.types, found))
    using = commands_by_type(schema)
    of_types = [
        (node, node.name.value, tuple(component.commands[name] for name in using.get(node.name.value, ())))
        for node in found.named_types
    ]
    of_fields = _of_fields(found.fields, fragments_of(document), component)
    return _refusal([*of_fields, *of_types], component, user)


class _Named(Visitor):
    """Finds the fields that stand for commands, in unused fragments and wrong places too, and the named types."""

    def __init__(self, types: TypeInfo, schema: GraphQLSchema) -> None:
        super().__init__()
        self.types = types
        self.fields: list[FieldNode] = []
        self.named_types: list[NamedTypeNode] = []
        self._roots = (schema.query_type, schema.mutation_type)

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        parent = self.types.get_parent_type()
        if parent is not None and parent in self._roots:
            self.fields.append(node)

    def enter_named_type(self, node: NamedTypeNode, *_: Any) -> None:
        self.named_types.append(node)


def _refusal(named: Iterable[tuple[Node, str, tuple[Command, ...]]], component: Component, user: Any) -> Refusal | None:
    errors: dict[str, GraphQLError] = {}
    for node, name, commands in named:
        try:
            check_any_access(commands, user)
        except CommandError as error:
            if name not in errors:
                asking = getattr(user, "id", None)
                log.info("component=%s command=%s refused=%s user=%r", component.name, name, error.code, asking)
                errors[name] = GraphQLError(error.message, nodes=node, extensions={"code": error.code})
    if not errors:
        return None
    known = all(error.extensions["code"] != UNAUTHENTICATED for error in errors.values() if error.extensions)
    return Refusal(
        status=403 if known else 401,
        errors=tuple(errors.values()),
        headers={} if known else {"WWW-Authenticate": "Bearer"},
    )


def _of_fields(
    fields: Iterable[FieldNode], fragments: Mapping[str, FragmentDefinitionNode], component: Component
) -> Iterator[tuple[FieldNode, str, tuple[Command, ...]]]:
    for node in fields:
        for name, commands in _commands(node, fragments, component):
            yield node, name, commands


def _commands(
    node: FieldNode, fragments: Mapping[str, FragmentDefinitionNode], component: Component
) -> Iterator[tuple[str, tuple[Command, ...]]]:
    """Give what a root field runs, with a name for it: a command, or for each entity those that would do as well."""
    command = component.commands.get(node.name.value)
    if command is not None:
        yield command.name, (command,)
    elif node.name.value == ENTITIES and node.selection_set is not None:
        reads = entity_reads(component)
        for name in _conditions(node.selection_set, fragments):
            if name in reads:
                yield f"{ENTITIES} {name}", reads[name]


def _conditions(selected: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> set[str]:
    """Return the types that a selection's fragments are on."""
    waiting, found, seen = [selected], set[str](), set[str]()
    while waiting:
        for node in waiting.pop().selections:
            fragment: Any = node
            if isinstance(node, FragmentSpreadNode):
                fragment = None if node.name.value in seen else fragments.get(node.name.value)
                seen.add(node.name.value)
            if isinstance(fragment, InlineFragmentNode | FragmentDefinitionNode):
                if fragment.type_condition is not None:
                    found.add(fragment.type_condition.name.value)
                waiting.append(fragment.selection_set)
    return found


def _root_fields(selected: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[FieldNode]:
    """Give the fields at an operation's root; each fragment once, for they may form cycles."""
    waiting, seen = [selected], set()
    while waiting:
        for node in waiting.pop().selections:
            if isinstance(node, FieldNode):
                yield node
            elif not isinstance(node, FragmentSpreadNode):
                waiting.append(node.selection_set)  # type: ignore[attr-defined]
            elif node.name.value in fragments and node.name.value not in seen:
                seen.add(node.name.value)
                waiting.append(fragments[node.name.value].selection_set)
