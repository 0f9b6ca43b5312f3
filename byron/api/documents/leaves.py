"""Fields without a selection of fields, although their type has some."""

from __future__ import annotations

from graphql import GraphQLError, ScalarLeafsRule


class LeavesRule(ScalarLeafsRule):
    """GraphQL's own rule, which suggests nothing where suggestions are off."""

    def report_error(self, error: GraphQLError) -> None:
        if self.context.hide_suggestions:
            # The rule's own words end so; names and types hold no spaces.
            error = GraphQLError(error.message.partition(" Did you mean ")[0], error.nodes)
        super().report_error(error)
