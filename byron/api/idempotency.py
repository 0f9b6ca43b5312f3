"""Idempotency keys over HTTP: which requests have one, and what tells two requests apart."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
)
from graphql.execution.collect_fields import collect_fields

from byron.api.access import Refusal
from byron.api.documents.fragments import fragments_of
from byron.commands.idempotency import IN_USE, REUSED
from byron.exceptions import CommandError

KEY_HEADER, REPLAYED_HEADER = "Idempotency-Key", "Idempotency-Replayed"

_KEY = re.compile(r"[!-~]{1,255}")

_STATUS = {IN_USE: 409, REUSED: 422}


def key_of(request: HttpRequest | None) -> str | None:
    """Return a request's key, or None. Raises CommandError when it is none that can be used."""
    key = request.headers.get(KEY_HEADER) if request is not None else None
    if key is not None and not _KEY.fullmatch(key):
        raise CommandError(f"{KEY_HEADER} takes 1 to 255 visible ASCII characters.")
    return key


def only_mutation(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode, variables: dict[str, Any]
) -> tuple[str, list[FieldNode]]:
    """Return an operation's one mutation and its name in the answer. Raises CommandError unless there is just one."""
    root = schema.mutation_type
    if root is None:
        raise TypeError("the operation is no mutation")
    found = collect_fields(schema, fragments_of(document), variables, root, operation.selection_set)
    mutations = [(name, nodes) for name, nodes in found.items() if nodes[0].name.value != "__typename"]
    if len(mutations) != 1:
        raise CommandError(
            f"With {KEY_HEADER} an operation has one mutation, not {len(mutations)}: each takes effect by itself."
        )
    return mutations[0]


def fingerprint(query: str, operation_name: str | None, variables: Mapping[str, Any]) -> str:
    """Return what is the same for equal requests only."""
    text = json.dumps([query, operation_name, variables], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def key_refusal(error: CommandError) -> Refusal:
    """Return a refusal as HTTP says it."""
    return Refusal(
        status=_STATUS.get(error.code, 400),
        errors=(GraphQLError(error.message, extensions={"code": error.code}),),
        headers={"Retry-After": "1"} if error.code == IN_USE else {},
    )
