"""Errors as clients see them: their own mistakes in full, the server's by a reference to its log."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from graphql import FieldNode, GraphQLError

from byron.api.documents.literals import in_graphql_words, null_variables
from byron.cache.trouble import is_unavailable, remedy_for
from byron.events.ids import new_id
from byron.exceptions import (
    BrokerUnavailableError,
    CommandError,
    MessageTooLargeError,
    OutcomeUnknownError,
    PublishDeniedError,
    SubscribeDeniedError,
)
from byron.schema.installed import ComponentConfig

log = logging.getLogger("byron.api")

_CODES: dict[type[Exception], tuple[str, str]] = {
    BrokerUnavailableError: (
        "BROKER_UNAVAILABLE",
        "The event log cannot be reached; nothing was changed. Try again later.",
    ),
    OutcomeUnknownError: ("OUTCOME_UNKNOWN", "The event log did not confirm in time; the change may or may not come."),
    MessageTooLargeError: ("EVENT_TOO_LARGE", "An event is larger than the event log takes; nothing was changed."),
    PublishDeniedError: ("FORBIDDEN_EVENT", "This component is not allowed to emit that event."),
    SubscribeDeniedError: ("FORBIDDEN_EVENT", "This component is not allowed to hear the event log's answers."),
}

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
BAD_USER_INPUT = "BAD_USER_INPUT"
METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
INTERNAL_ERROR = "INTERNAL_ERROR"
CACHE_UNAVAILABLE = "CACHE_UNAVAILABLE"

#: What clients are told while a component's database is away, restarts or lacks its tables.
CACHE_MESSAGE = "The component's Cache cannot be reached. Try again later."


def refusal_of(error: GraphQLError, code: str) -> dict[str, Any]:
    """Return an error of a request that was refused as a whole, with this code unless it has one."""
    return {**error.formatted, "extensions": {"code": code, **(error.extensions or {})}}


def formatted(
    config: ComponentConfig, error: GraphQLError, variables: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return an error of an execution, with these variables, as clients see it."""
    shown: dict[str, Any] = dict(error.formatted)
    original = error.original_error
    if isinstance(original, CommandError):
        return {**shown, "message": original.message, "extensions": {"code": original.code}}
    for kind, (code, message) in _CODES.items():
        if isinstance(original, kind):
            log.warning("component=%s code=%s error=%s", config.label, code, original)
            # Whoever looks into the log, by `manage.py events` or a tool of NATS, finds them by these.
            events = {"events": list(original.event_ids)} if isinstance(original, OutcomeUnknownError) else {}
            return {**shown, "message": message, "extensions": {"code": code, **events}}
    if not error.path or (isinstance(original, GraphQLError | None) and _is_of_an_argument(error)):
        message = _of_an_argument(error, variables or {})
        return {**shown, "message": message, "extensions": {"code": BAD_USER_INPUT, **(error.extensions or {})}}
    if original is not None and is_unavailable(original, config.alias):
        remedy = remedy_for(config.alias)
        log.warning("component=%s code=%s error=%r%s", config.label, CACHE_UNAVAILABLE, str(original), remedy)
        extensions = {"code": CACHE_UNAVAILABLE, **_for_developers(original, remedy)}
        return {**shown, "message": CACHE_MESSAGE, "extensions": extensions}
    reference = new_id()
    path = ".".join(str(step) for step in error.path or ())
    log.error("component=%s path=%s reference=%s", config.label, path, reference, exc_info=original or error)
    extensions = {"code": INTERNAL_ERROR, "reference": reference, **_for_developers(original or error)}
    return {**shown, "message": f"Something went wrong (reference {reference}).", "extensions": extensions}


def _for_developers(error: BaseException, remedy: str = "") -> dict[str, str]:
    """Return what only someone may see who has the code before them: what was raised, and where in their files."""
    if not settings.DEBUG:
        return {}
    said = "".join(traceback.format_exception_only(error)).strip() + remedy
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_of_the_project(frame.filename)]
    return {"cause": f"{said} ({frames[-1].filename}:{frames[-1].lineno})" if frames else said}


def _is_of_the_project(file: str) -> bool:
    base = getattr(settings, "BASE_DIR", None)
    # An environment may lie inside of the project.
    return base is not None and file.startswith(f"{base}{os.sep}") and "site-packages" not in file


def _of_an_argument(error: GraphQLError, variables: Mapping[str, Any]) -> str:
    nulls = [name for node in error.nodes or () for name in null_variables(node, variables)]
    if nulls and " has invalid value " in error.message:
        return f"{error.message.rstrip('.')}: ${nulls[0]} is null, which may not be there."
    return in_graphql_words(error.message)


def _is_of_an_argument(error: GraphQLError) -> bool:
    """Whether an argument is to blame, and no value that a command returned.

    graphql-core raises GraphQLError for both; what is wrong with an argument is said of the argument's node.
    """
    return any(not isinstance(node, FieldNode) for node in error.nodes or ())
