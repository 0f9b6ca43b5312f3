"""What a test meets when something does not go as it should."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from byron.commands.access import UNAUTHENTICATED
from byron.exceptions import CommandError
from byron.testing.frames import place

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True


#: The code of what is masked for clients: a mistake of the developer's.
_MASKED = "INTERNAL_ERROR"


class GraphQLFailure(AssertionError):
    """A GraphQL request that was answered with errors. Its text begins with the first one's code."""

    def __init__(self, errors: list[dict[str, Any]], causes: Sequence[BaseException] = ()) -> None:
        """Take an answer's errors, and what was raised behind them: in this process there is nobody to hide it from."""
        self.errors = errors
        self.message = "; ".join(dict.fromkeys(_messages(errors, causes)))
        super().__init__(f"{self.code}: {self.message}" if self.code else self.message)
        self.is_mistake = self.code == _MASKED
        if causes and not self.is_mistake and (raised := place(causes[0])):
            self.add_note(f"Raised at {raised}")
        if self.code == UNAUTHENTICATED:
            self.add_note(
                'A test needs no token: component.as_user("ada", roles=[…]) is the component as a user meets it.'
            )

    @property
    def code(self) -> str | None:
        """The first error's `extensions.code`, or None."""
        code: str | None = self.errors[0].get("extensions", {}).get("code")
        return code


def _messages(errors: Sequence[dict[str, Any]], causes: Sequence[BaseException]) -> Iterator[str]:
    masked = [error for error in errors if error.get("extensions", {}).get("code") == _MASKED]
    yield from (error["message"] for error in errors if not causes or error not in masked)
    # A refusal has its message among the errors.
    for cause in causes if masked else ():
        if isinstance(cause, CommandError):
            continue
        at = place(cause)
        yield f"{type(cause).__name__}: {cause}{f', raised at {at}' if at else ''}"


class SystemFailure(AssertionError):
    """Components that do not come to rest: an endless cascade, a parked event, a process that ended."""


class ComponentDown(AssertionError):
    """A request to a component that is down, by `system.down`."""
