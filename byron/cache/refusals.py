"""What the database refused the API, told as the mistake that it is, with what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import DatabaseError

from byron.cache.trouble import is_refused_write, lacks_right
from byron.exceptions import CacheWriteError

_REMEDY = "Emit an event, and write in its handler."


def explain_refusals(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Execute a statement of the API: what Django calls around each. Raises CacheWriteError for a refused write."""
    try:
        return execute(sql, params, many, context)
    except DatabaseError as error:
        alias = context["connection"].alias
        if is_refused_write(error):
            text = f"The API cannot write the Cache of {alias}, by SQL or otherwise: only the Sink does. {_REMEDY}"
            raise CacheWriteError(text) from error
        # A read that is not allowed has nothing to do with writing: the database's own text names the table.
        if lacks_right(error) and not sql.lstrip().upper().startswith("SELECT"):
            text = f"The API's user may only read the Cache of {alias}, says the database: {error}".strip()
            raise CacheWriteError(f"{text.rstrip('.')}. {_REMEDY}") from error
        raise
