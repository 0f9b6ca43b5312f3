"""The addresses of a project: each component's GraphQL, and health.

The first component answers at `/graphql/`, and each one at `/<component>/graphql/`.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.urls import URLPattern, path

from byron.api.execution import GraphQLService
from byron.api.health import healthz, readyz
from byron.api.views import GraphQLView, schema_view
from byron.schema.installed import installed_components


def _component_urls(prefix: str, service: GraphQLService) -> Iterator[URLPattern]:
    yield path(f"{prefix}graphql/", GraphQLView.as_view(service=service))
    yield path(f"{prefix}graphql", GraphQLView.as_view(service=service))
    yield path(f"{prefix}schema.graphql", schema_view, {"service": service})


def _urls() -> Iterator[URLPattern]:
    yield path("healthz", healthz, name="healthz")
    yield path("readyz", readyz, name="readyz")
    for index, config in enumerate(installed_components()):
        service = GraphQLService(config)
        if index == 0:
            yield from _component_urls("", service)
        yield from _component_urls(f"{config.label}/", service)


urlpatterns = list(_urls())
