"""What a test meets when a request is answered with errors."""

from __future__ import annotations

from typing import Any


class GraphQLFailure(AssertionError):
    """A GraphQL request that was answered with errors."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        self.errors = errors
        super().__init__("; ".join(error["message"] for error in errors))

    @property
    def code(self) -> str | None:
        """The first error's `extensions.code`, or None."""
        code: str | None = self.errors[0].get("extensions", {}).get("code")
        return code
