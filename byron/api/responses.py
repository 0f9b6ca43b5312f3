"""GraphQL responses over HTTP: JSON, with the headers that every one of them has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse

#: The body depends on the Accept header, on who asks and on the moment; and it is never anything but JSON.
_HEADERS = {"Vary": "Accept", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def graphql_response(
    body: Mapping[str, Any], *, status: int, media_type: str, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """Return a GraphQL response in JSON."""
    text = json.dumps(body, cls=DjangoJSONEncoder, ensure_ascii=False)
    return HttpResponse(
        # A lone surrogate is no Unicode text, but a command may return one: its escape is JSON.
        text.encode("utf-8", "backslashreplace"),
        status=status,
        content_type=f"{media_type}; charset=utf-8",
        headers={**_HEADERS, **(headers or {})},
    )
