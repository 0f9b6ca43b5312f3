"""Fresh ids, and how tests choose them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from uuid_utils.compat import uuid7

_chosen: ContextVar[Iterator[str] | None] = ContextVar("byron_ids", default=None)


def new_id() -> str:
    """Return a fresh id: a version 7 UUID as text, so that ids sort by age."""
    return str(uuid7())


def entity_id() -> str:
    """Return a fresh id for an entity, or the next one that was chosen. Raises LookupError when those are used up."""
    chosen = _chosen.get()
    if chosen is None:
        return new_id()
    try:
        return next(chosen)
    except StopIteration:
        raise LookupError("All ids that the test chose are used; choose more.") from None


@contextmanager
def chosen_ids(ids: Iterator[str] | None) -> Iterator[None]:
    """Have entities get these ids, in order, or fresh ones for None, in the context at hand."""
    token = _chosen.set(ids)
    try:
        yield
    finally:
        _chosen.reset(token)
