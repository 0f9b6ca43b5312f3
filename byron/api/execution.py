"""One GraphQL request, from its text to its answer, whatever brought it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLSchema,
    OperationType,
    execute,
    get_operation_ast,
)
from graphql.execution.values import get_variable_values

from byron.api.access import Refusal, invalid_document_refusal, operation_refusal
from byron.api.documents.document import MOST_PROBLEMS, parse_document
from byron.api.documents.kept import KeptDocuments
from byron.api.documents.limits import check_cost
from byron.api.documents.variables import check_repeated
from byron.api.federation import federated
from byron.api.graphql import Execution, build_schema
from byron.api.idempotency import fingerprint, key_of, key_refusal, only_mutation
from byron.api.masking import BAD_USER_INPUT, METHOD_NOT_ALLOWED, PARSE_FAILED, VALIDATION_FAILED, formatted, refusal_of
from byron.api.receipts import Receipts
from byron.commands.idempotency import ANSWER_TOO_LATE, Attempt, IdempotencyKeys
from byron.commands.time_limit import TimeLimit
from byron.conf import byron_settings
from byron.events.event import Event
from byron.exceptions import BrokerError, CommandError, SupersededError
from byron.schema.installed import ComponentConfig

_NOT_BY_GET = Refusal(
    status=405,
    errors=(GraphQLError("Only queries can be sent with GET; use POST.", extensions={"code": METHOD_NOT_ALLOWED}),),
    headers={"Allow": "POST"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request comes to. `executed` is False when it was refused before any command ran."""

    body: dict[str, Any]
    executed: bool
    events: list[Event] = field(default_factory=list)
    #: The commands that were asked for, in order.
    commands: Sequence[str] = ()
    #: Set when the request went no further, as HTTP says it.
    refusal: Refusal | None = None
    #: What was raised behind the errors, for tests: clients are told no more than is in the body.
    causes: tuple[BaseException, ...] = ()
    #: Whether it is that of an earlier request with the same Idempotency-Key: no command ran.
    replayed: bool = False


class GraphQLService:
    """Answer a component's GraphQL requests. Thread-safe; parsed documents are kept."""

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config
        self.schema: GraphQLSchema = build_schema(config).graphql_schema
        self._executed = federated(self.schema, config) if byron_settings().federation else self.schema
        self.receipts = Receipts(config)
        self._keys = IdempotencyKeys(config)
        self._kept = KeptDocuments()

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
        known = self._kept.get((query, settings))
        document = parse_document(query, settings) if known is None else known
        if isinstance(document, GraphQLError):
            return _refused(PARSE_FAILED, document)
        user = getattr(request, "user", None)
        refusal = operation_refusal(document.node, operation_name, self.config.component, user)
        if refusal is not None:
            return _turned_away(refusal)
        problems = document.problems(self._executed, introspection=settings.introspection_enabled, suggestions=debug)
        if problems:
            refusal = invalid_document_refusal(document.node, self._executed, self.config.component, user)
            if refusal is not None:
                return _turned_away(refusal)
            return _refused(VALIDATION_FAILED, *problems)
        if known is None:
            self._kept.keep((query, settings), document)
        operation = get_operation_ast(document.node, operation_name)
        if operation is None:
            message = "Name the operation to run: the document has several, or not that one."
            return _refused(BAD_USER_INPUT, GraphQLError(message))
        if operation.operation is OperationType.SUBSCRIPTION:
            return _refused(VALIDATION_FAILED, GraphQLError("There are no subscriptions; ask with a query.", operation))
        if queries_only and operation.operation is not OperationType.QUERY:
            return _turned_away(_NOT_BY_GET)
        try:
            check_repeated(operation, document.repeated(operation), variables or {}, settings)
            check_cost(self.config.component, document.node, operation, variables or {}, settings)
        except GraphQLError as error:
            return _refused(BAD_USER_INPUT, error)
        given = dict(variables or {})
        run = partial(self._run, document.node, given, operation_name, request)
        if operation.operation is not OperationType.MUTATION:
            return run()
        try:
            key = key_of(request)
            coerced = get_variable_values(self.schema, operation.variable_definitions or (), given)
            if key is None or isinstance(coerced, list):
                return run()
            name, nodes = only_mutation(self.schema, document.node, operation, coerced)
            try:
                return self._run_once(run, key, user, fingerprint(query, operation_name, given))
            except (BrokerError, ImproperlyConfigured) as error:
                # As it is said of a command that found no broker.
                failed = GraphQLError(str(error), nodes=nodes, path=[name], original_error=error)
                body = {"data": None, "errors": [formatted(self.config, failed)]}
                return Answer(body=body, executed=True, causes=(error,))
        except CommandError as error:
            return _turned_away(key_refusal(error), error)

    def _run_once(self, run: Callable[[Attempt], Answer], key: str, user: Any, asked: str) -> Answer:
        """Run a mutation unless it was run before under its key. Raises CommandError and BrokerError."""
        while True:
            attempt = self._keys.begin(key, user, asked)
            if attempt.body is not None:
                return Answer(body=attempt.body, executed=True, events=attempt.events, replayed=True)
            try:
                answer = run(attempt)
            except SupersededError:
                # The next look tells what the other process came to.
                continue
            attempt.finish(answer.body)
            return replace(answer, replayed=attempt.known is not None)

    def _run(
        self,
        document: DocumentNode,
        variables: dict[str, Any],
        operation_name: str | None,
        request: HttpRequest | None,
        attempt: Attempt | None = None,
    ) -> Answer:
        """Execute an operation. Raises SupersededError when its attempt is lost: nobody gets to see what it came to."""
        execution = Execution(request=request, attempt=attempt)
        try:
            with TimeLimit(byron_settings().api_command_timeout, self.config.alias, operation_name or "The operation"):
                result = execute(
                    self._executed,
                    document,
                    context_value=execution,
                    variable_values=variables,
                    operation_name=operation_name,
                    max_coercion_errors=MOST_PROBLEMS,
                    hide_suggestions=not django_settings.DEBUG,
                )
        except CommandError as error:
            return self._too_late(execution, error)
        if not isinstance(result, ExecutionResult):
            raise TypeError("the schema's resolvers are all synchronous")
        if attempt is not None:
            attempt.require_not_lost()
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = [formatted(self.config, error, variables) for error in result.errors]
        started = result.data is not None or any(error.path for error in result.errors or ())
        return Answer(
            body=body if started else {"errors": body["errors"]},
            executed=started,
            events=execution.events,
            commands=execution.commands,
            causes=tuple(error.original_error for error in result.errors or () if error.original_error is not None),
        )

    def _too_late(self, execution: Execution, error: CommandError) -> Answer:
        """Return the answer of an operation that was interrupted: it says so when something was changed."""
        if execution.attempt is not None:
            execution.attempt.require_not_lost()
        cause: Exception = error
        if execution.unknown is not None:
            cause = execution.unknown
        elif execution.events:
            said = "What was asked for was carried out, but its answer took too long; read it again with the receipt."
            cause = CommandError(said, code=ANSWER_TOO_LATE)
        failed = formatted(self.config, GraphQLError(str(cause), original_error=cause))
        return Answer(
            body={"data": None, "errors": [failed]},
            executed=True,
            events=execution.events,
            commands=execution.commands,
            causes=(cause,),
        )


def _turned_away(refusal: Refusal, *causes: BaseException) -> Answer:
    return Answer(body=refusal.body, executed=False, refusal=refusal, causes=causes)


def _refused(code: str, *errors: GraphQLError) -> Answer:
    return Answer(body={"errors": [refusal_of(error, code) for error in errors]}, executed=False)
