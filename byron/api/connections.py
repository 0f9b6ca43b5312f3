"""A list in pages, as a GraphQL connection: `edges`, `nodes`, `pageInfo`, `totalCount`."""

from __future__ import annotations

from typing import Any

import graphene

from byron.commands.pages import Page
from byron.schema.model import CONNECTION
from byron.schema.reads import EDGE, PAGE_INFO


def page_info_type() -> Any:
    """Return the type of `pageInfo`, one for all connections of a schema."""
    fields = {
        "hasNextPage": _field(graphene.Boolean, lambda page, info: page.has_next),
        "hasPreviousPage": _field(graphene.Boolean, lambda page, info: not page.is_first),
        "startCursor": graphene.Field(graphene.String, resolver=lambda page, info: _cursor_at(page, 0)),
        "endCursor": graphene.Field(graphene.String, resolver=lambda page, info: _cursor_at(page, -1)),
    }
    return type(PAGE_INFO, (graphene.ObjectType,), fields)


def edge_type(name: str, node: Any) -> Any:
    """Return the type of one entity's place in a page. Its source is the page and the entity."""
    fields = {
        "cursor": _field(graphene.String, lambda source, info: source[0].cursor(source[1])),
        "node": _field(node, lambda source, info: source[1]),
    }
    return type(f"{name}{EDGE}", (graphene.ObjectType,), fields)


def connection_type(name: str, node: Any, edge: Any, page_info: Any) -> Any:
    """Return the type of a page. Its source is a Page."""
    fields = {
        "edges": _field(_list(edge), lambda page, info: [(page, each) for each in page.nodes]),
        "nodes": _field(_list(node), lambda page, info: page.nodes),
        "pageInfo": _field(page_info, lambda page, info: page),
        "totalCount": _field(graphene.Int, lambda page, info: page.total),
    }
    return type(f"{name}{CONNECTION}", (graphene.ObjectType,), fields)


def _field(kind: Any, resolver: Any) -> graphene.Field:
    return graphene.Field(graphene.NonNull(kind), resolver=resolver)


def _list(item: Any) -> graphene.List:
    return graphene.List(graphene.NonNull(item))


def _cursor_at(page: Page, place: int) -> str | None:
    return page.cursor(page.nodes[place]) if page.nodes else None
