"""Fresh ids, and how tests choose them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from uuid_utils.compat import uuid7

#: Ids that an error lists, at most.
_SHOWN = 10

_chosen: ContextVar[Iterator[str] | None] = ContextVar("byron_ids", default=None)


def new_id() -> str:
    """Return a fresh id: a version 7 UUID as text, so that ids sort by age."""
    return str(uuid7())


def entity_id() -> str:
    """Return a fresh id for an entity, or the next one that was chosen. Raises LookupError when those are used up."""
    chosen = _chosen.get()
    return new_id() if chosen is None else next(chosen)


class ChosenIds(Iterator[str]):
    """Some ids, in order. One more than there are is a LookupError, which tells those that are used up."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids
        self._left = iter(ids)

    def __next__(self) -> str:
        for each in self._left:
            return each
        count, shown = len(self._ids), ", ".join(self._ids[:_SHOWN])
        many = "1 id, which is" if count == 1 else f"{count} ids, which are"
        raise LookupError(
            f"The test chose {many} used up: {shown}{' and so on' if count > _SHOWN else ''}. Choose more."
        )


@contextmanager
def chosen_ids(ids: Iterator[str] | None) -> Iterator[None]:
    """Have entities get these ids, in order, or fresh ones for None, in the context at hand."""
    token = _chosen.set(ids)
    try:
        yield
    finally:
        _chosen.reset(token)
