"""The addresses of a project: each component's GraphQL, health, and a page for developers.

The first component answers at `/graphql/`, and each one at `/<component>/graphql/`.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.urls import URLPattern, path

from byron.api.execution import GraphQLService
from byron.api.health import healthz, readyz
from byron.api.home import home
from byron.api.views import GraphQLView, schema_view, unusable_view
from byron.schema.installed import installed_components

#: Who answers for each component that can be served, by its label.
services: dict[str, GraphQLService] = {}


def _component_urls(prefix: str, service: GraphQLService) -> Iterator[URLPattern]:
    yield path(f"{prefix}graphql/", GraphQLView.as_view(service=service))
    yield path(f"{prefix}graphql", GraphQLView.as_view(service=service))
    yield path(f"{prefix}schema.graphql", schema_view, {"service": service})


def _urls() -> Iterator[URLPattern]:
    yield path("", home, name="home")
    yield path("healthz", healthz, name="healthz")
    yield path("readyz", readyz, name="readyz")
    for index, config in enumerate(installed_components()):
        prefixes = ["", f"{config.label}/"] if index == 0 else [f"{config.label}/"]
        if config.schema_problems:
            given = {"label": config.label, "problems": config.schema_problems}
            yield from (path(f"{prefix}graphql/", unusable_view, given) for prefix in prefixes)
            continue
        service = services[config.label] = GraphQLService(config)
        for prefix in prefixes:
            yield from _component_urls(prefix, service)


urlpatterns = list(_urls())
