"""What a test meets when something does not go as it should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class GraphQLFailure(AssertionError):
    """A GraphQL request that was answered with errors. Its text begins with the first one's code."""

    def __init__(self, errors: list[dict[str, Any]], causes: Sequence[BaseException] = ()) -> None:
        self.errors = errors
        # In this process there is nobody to hide a mistake from.
        hidden = any(error.get("extensions", {}).get("code") == "INTERNAL_ERROR" for error in errors)
        told = [f"{type(cause).__name__}: {cause}" for cause in causes] if hidden else []
        messages = "; ".join([*dict.fromkeys(error["message"] for error in errors), *told])
        super().__init__(f"{self.code}: {messages}" if self.code else messages)

    @property
    def code(self) -> str | None:
        """The first error's `extensions.code`, or None."""
        code: str | None = self.errors[0].get("extensions", {}).get("code")
        return code


class SystemFailure(AssertionError):
    """Components that do not come to rest: an endless cascade, a parked event, a process that ended."""


class ComponentDown(AssertionError):
    """A request to a component that is down, by `system.down`."""
