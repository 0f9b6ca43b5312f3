"""Acting as a user over HTTP: a header that only the processes of a test understand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from byron.commands.user import User

HEADER = "Byron-Test-User"


def user_header(user: User) -> dict[str, str]:
    """Return the header of requests that this user sends."""
    return {HEADER: json.dumps({"id": user.id, "roles": sorted(user.roles), "claims": dict(user.claims)})}


class ActingUserMiddleware:
    """Has `request.user` be the user of the header."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        text = request.headers.get(HEADER)
        if text is not None:
            said = json.loads(text)
            # Django's annotation knows its own users alone.
            user: Any = User(id=said["id"], roles=frozenset(said["roles"]), claims=said["claims"])
            request.user = user
        return self._get_response(request)
