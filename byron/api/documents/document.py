"""A GraphQL document: parsed within its limits, and valid for a schema or not."""

from __future__ import annotations

from collections.abc import Mapping

from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    ScalarLeafsRule,
    ValuesOfCorrectTypeRule,
    parse,
    specified_rules,
    validate,
)
from graphql.validation.validate import ValidationAbortedError

from byron.api.documents.leaves import LeavesRule
from byron.api.documents.limits import check_document, refusal
from byron.api.documents.literals import PlacedValuesRule
from byron.api.documents.merging import BudgetedMergingRule
from byron.api.documents.variables import repeated_variables
from byron.conf import ByronSettings

#: Problems that are told at once: each costs time, and nobody reads more.
MOST_PROBLEMS = 20

#: The rules of GraphQL's specification, three of them as they are wanted here.
_OWN: dict[type[ASTValidationRule], type[ASTValidationRule]] = {
    ValuesOfCorrectTypeRule: PlacedValuesRule,
    OverlappingFieldsCanBeMergedRule: BudgetedMergingRule,
    ScalarLeafsRule: LeavesRule,
}
RULES = tuple(_OWN.get(rule, rule) for rule in specified_rules)


class Document:
    """A document that was parsed. It is validated when it is first run, not before who asks may run it."""

    def __init__(self, node: DocumentNode) -> None:
        self.node = node
        self._problems: dict[tuple[bool, bool], tuple[GraphQLError, ...]] = {}
        self._repeated: dict[str | None, Mapping[str, int]] = {}

    def problems(self, schema: GraphQLSchema, *, introspection: bool, suggestions: bool) -> tuple[GraphQLError, ...]:
        """Return what is wrong with the document, with or without leave to look at the GraphQL schema."""
        found = self._problems.get((introspection, suggestions))
        if found is None:
            rules = RULES if introspection else (*RULES, NoSchemaIntrospectionCustomRule)
            errors = validate(schema, self.node, rules, max_errors=MOST_PROBLEMS, hide_suggestions=not suggestions)
            found = self._problems[introspection, suggestions] = tuple(map(_told, errors))
        return found

    def repeated(self, operation: OperationDefinitionNode) -> Mapping[str, int]:
        """Return the variables that one of the operations uses more than once, and how often."""
        name = operation.name.value if operation.name is not None else None
        if name not in self._repeated:
            self._repeated[name] = repeated_variables(self.node, operation)
        return self._repeated[name]


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


def _told(error: GraphQLError) -> GraphQLError:
    """Return a problem as clients can make use of it: that the validation of a document took too much is a limit."""
    if not isinstance(error, ValidationAbortedError) or error.message.startswith("Too many validation errors"):
        return error
    return refusal(
        "The document compares too many fields of the same name in one place, or nests too many fragments. "
        "Ask for each field once."
    )
