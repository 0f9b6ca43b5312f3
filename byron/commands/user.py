"""Who is asking: what a verified token says of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who sent a request, as `ctx.user`. Nothing is kept of users: the token says all that is known."""

    #: The token's `sub`: the same for one person or program as long as its issuer keeps it.
    id: str
    roles: frozenset[str] = frozenset()
    #: All that the token says, for what Byron has no name for. Not in logs: it may hold personal data.
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @property
    def is_authenticated(self) -> Literal[True]:
        """Always true, as with Django's users; without a token `ctx.user` is None."""
        return True

    def has_role(self, role: str) -> bool:
        """Whether the token gives this role."""
        return role in self.roles
