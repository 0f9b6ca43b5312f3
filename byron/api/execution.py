"""One GraphQL request, from its text to its answer, whatever brought it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.conf import settings as django_settings
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

from byron.api.errors import BAD_USER_INPUT, PARSE_FAILED, VALIDATION_FAILED, formatted, refusal
from byron.api.graphql import Execution, build_schema
from byron.api.limits import check_cost, check_document
from byron.conf import ByronSettings, byron_settings
from byron.events.event import Event
from byron.schema.installed import ComponentConfig

#: Characters of a document that is kept parsed. Clients repeat short ones; long ones would only fill memory.
_LONGEST_KEPT = 16 * 1024

#: Problems of a document that are told at once: each costs time, and nobody reads more.
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request comes to. `executed` is False when it was refused before any command ran."""

    body: dict[str, Any]
    executed: bool
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A document that may be executed, or what is wrong with it."""

    document: DocumentNode | None = None
    errors: tuple[dict[str, Any], ...] = ()


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
        settings, debug = byron_settings(), bool(django_settings.DEBUG)
        prepare = self._prepare if len(query) <= _LONGEST_KEPT else self._parse_and_validate
        prepared = prepare(query, settings, debug)
        if prepared.document is None:
            return _refused(*prepared.errors)
        operation = get_operation_ast(prepared.document, operation_name)
        if operation is None:
            message = "Name the operation to run: the document has several, or not that one."
            return _refused(refusal(GraphQLError(message), BAD_USER_INPUT))
        if queries_only and operation.operation is not OperationType.QUERY:
            return _refused(refusal(GraphQLError("Only queries can be sent with GET; use POST."), BAD_USER_INPUT))
        try:
            check_cost(self.config.component, prepared.document, operation, variables or {}, settings)
        except GraphQLError as error:
            return _refused(refusal(error, BAD_USER_INPUT))
        execution = Execution(request=request)
        result = execute(
            self.schema,
            prepared.document,
            context_value=execution,
            variable_values=dict(variables or {}),
            operation_name=operation_name,
            max_coercion_errors=_MOST_PROBLEMS,
            hide_suggestions=not debug,
        )
        if not isinstance(result, ExecutionResult):
            raise TypeError("the schema's resolvers are all synchronous")
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = [formatted(self.config, error) for error in result.errors]
        started = result.data is not None or any(error.path for error in result.errors or ())
        return Answer(body=body if started else {"errors": body["errors"]}, executed=started, events=execution.events)

    def _parse_and_validate(self, query: str, settings: ByronSettings, debug: bool) -> _Prepared:
        try:
            document = parse(query, max_tokens=settings.api_max_tokens)
            check_document(document, settings)
        except GraphQLError as error:
            return _Prepared(errors=(refusal(error, PARSE_FAILED),))
        except RecursionError:
            return _Prepared(errors=(refusal(GraphQLError("The document is nested too deeply."), PARSE_FAILED),))
        hidden = () if settings.introspection_enabled else (NoSchemaIntrospectionCustomRule,)
        rules = (*specified_rules, *hidden)
        errors = validate(self.schema, document, rules, max_errors=_MOST_PROBLEMS, hide_suggestions=not debug)
        if errors:
            return _Prepared(errors=tuple(refusal(error, VALIDATION_FAILED) for error in errors))
        return _Prepared(document=document)


def _refused(*errors: dict[str, Any]) -> Answer:
    return Answer(body={"errors": list(errors)}, executed=False)
