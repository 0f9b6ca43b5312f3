"""Addresses: /graphql/, /healthz, /readyz, /schema.graphql, and /<component>/graphql/."""

from django.urls import include, path

urlpatterns = [path("", include("byron.api.urls"))]
