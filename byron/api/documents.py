"""A GraphQL document: parsed within its limits, and valid for a schema or not."""

from __future__ import annotations

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    parse,
    validate,
)

from byron.api.limits import check_document
from byron.api.literals import RULES
from byron.conf import ByronSettings

#: Problems that are told at once: each costs time, and nobody reads more.
MOST_PROBLEMS = 20


class Document:
    """A document that was parsed. It is validated when it is first run, not before who asks may run it."""

    def __init__(self, node: DocumentNode) -> None:
        self.node = node
        self._problems: dict[tuple[bool, bool], tuple[GraphQLError, ...]] = {}

    def problems(self, schema: GraphQLSchema, *, introspection: bool, suggestions: bool) -> tuple[GraphQLError, ...]:
        """Return what is wrong with the document, with or without leave to look at the GraphQL schema."""
        found = self._problems.get((introspection, suggestions))
        if found is None:
            rules = RULES if introspection else (*RULES, NoSchemaIntrospectionCustomRule)
            errors = validate(schema, self.node, rules, max_errors=MOST_PROBLEMS, hide_suggestions=not suggestions)
            found = self._problems[introspection, suggestions] = tuple(errors)
        return found


def parse_document(text: str, settings: ByronSettings) -> Document | GraphQLError:
    """Return the document that a text is, or why it is none that is looked at further."""
    try:
        node = parse(text, max_tokens=settings.api_max_tokens)
        check_document(node, settings)
    except GraphQLError as error:
        return error
    except RecursionError:
        return GraphQLError("The document is nested too deeply.")
    return Document(node)
