"""The fragments of a GraphQL document."""

from __future__ import annotations

from graphql import DocumentNode, FragmentDefinitionNode


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """Return a document's fragments by their names; of a name that is given twice, the last one."""
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
