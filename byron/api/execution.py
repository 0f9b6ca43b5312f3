"""One GraphQL request, from its text to its answer, whatever brought it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.http import HttpRequest
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationType,
    execute,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)

from byron.api.graphql import Execution, build_schema
from byron.commands.context import new_id
from byron.conf import byron_settings
from byron.events.event import Event
from byron.exceptions import BrokerUnavailableError, CommandError, OutcomeUnknownError, PublishDeniedError
from byron.schema.installed import ComponentConfig

log = logging.getLogger("byron.api")

#: Characters of a document that is kept parsed. Clients repeat short ones; long ones would only fill memory.
_LONGEST_KEPT = 16 * 1024

_CODES: dict[type[Exception], tuple[str, str]] = {
    BrokerUnavailableError: (
        "BROKER_UNAVAILABLE",
        "The event log cannot be reached; nothing was changed. Try again later.",
    ),
    OutcomeUnknownError: ("OUTCOME_UNKNOWN", "The event log did not confirm in time; the change may or may not come."),
    PublishDeniedError: ("FORBIDDEN_EVENT", "This component is not allowed to emit that event."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request comes to. `executed` is False when it was refused before any command ran."""

    body: dict[str, Any]
    executed: bool
    events: list[Event] = field(default_factory=list)


class GraphQLService:
    """Answer a component's GraphQL requests. Thread-safe; parsed documents are kept."""

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config
        self.schema: GraphQLSchema = build_schema(config).graphql_schema
        self._prepare = lru_cache(maxsize=512)(self._parse_and_validate)

    def execute(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        operation_name: str | None = None,
        *,
        request: HttpRequest | None = None,
        queries_only: bool = False,
    ) -> Answer:
        """Run one operation of a document. Never raises: errors are part of the answer."""
        settings = byron_settings()
        prepare = self._prepare if len(query) <= _LONGEST_KEPT else self._parse_and_validate
        document, errors = prepare(query, settings.introspection_enabled, settings.api_max_tokens)
        if document is None:
            return _refused(errors)
        operation = get_operation_ast(document, operation_name)
        if operation is None:
            return _refused((GraphQLError("Name the operation to run: the document has several, or not that one."),))
        if queries_only and operation.operation is not OperationType.QUERY:
            message = "Only queries can be sent with GET; use POST."
            return _refused((GraphQLError(message, extensions={"code": "METHOD_NOT_ALLOWED"}),))
        execution = Execution(request=request)
        result = execute(
            self.schema,
            document,
            context_value=execution,
            variable_values=dict(variables or {}),
            operation_name=operation_name,
        )
        if not isinstance(result, ExecutionResult):
            raise TypeError("the schema's resolvers are all synchronous")
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = [self._formatted(error) for error in result.errors]
        started = result.data is not None or any(error.path for error in result.errors or ())
        return Answer(body=body if started else {"errors": body["errors"]}, executed=started, events=execution.events)

    def _parse_and_validate(
        self, query: str, introspection: bool, max_tokens: int
    ) -> tuple[DocumentNode | None, tuple[GraphQLError, ...]]:
        try:
            document = parse(query, max_tokens=max_tokens)
        except GraphQLError as error:
            return None, (error,)
        except RecursionError:
            return None, (GraphQLError("The document is nested too deeply."),)
        rules = specified_rules if introspection else (*specified_rules, NoSchemaIntrospectionCustomRule)
        errors = validate(self.schema, document, rules)
        return (None, tuple(errors)) if errors else (document, ())

    def _formatted(self, error: GraphQLError) -> dict[str, Any]:
        """Return an error as clients see it: a command's own words, or none but a reference to the log."""
        original = error.original_error
        formatted: dict[str, Any] = dict(error.formatted)
        if original is None or not error.path:
            return formatted
        if isinstance(original, CommandError):
            return {**formatted, "message": original.message, "extensions": {"code": original.code}}
        for kind, (code, message) in _CODES.items():
            if isinstance(original, kind):
                log.warning("component=%s code=%s error=%s", self.config.label, code, original)
                return {**formatted, "message": message, "extensions": {"code": code}}
        reference = new_id()
        path = ".".join(str(step) for step in error.path or ())
        log.error("component=%s path=%s reference=%s", self.config.label, path, reference, exc_info=original)
        extensions = {"code": "INTERNAL_ERROR", "reference": reference}
        return {**formatted, "message": f"Something went wrong (reference {reference}).", "extensions": extensions}


def _refused(errors: tuple[GraphQLError, ...]) -> Answer:
    return Answer(body={"errors": [error.formatted for error in errors]}, executed=False)
