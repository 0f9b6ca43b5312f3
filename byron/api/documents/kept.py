"""Documents that are kept parsed and found valid: clients send the same ones again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

from byron.api.documents.document import Document

#: Bytes that the documents of a component may take in a process, about.
MOST_BYTES = 16 * 1024 * 1024

#: Bytes that a document takes, at most: for each token its nodes and places, for each character its text and a copy.
_BYTES_OF_TOKEN, _BYTES_OF_CHARACTER = 640, 8

#: One document takes this part of it all, at most: a few large ones would drive the others out.
_LARGEST_PART = 1 / 16


class KeptDocuments:
    """The documents that were used last, within a bound on their memory in all. Thread-safe."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._lock = Lock()
        self._documents: OrderedDict[Hashable, tuple[Document, int]] = OrderedDict()
        self.size = 0

    def get(self, key: Hashable) -> Document | None:
        """Return the document that is kept under a key, if it still is."""
        with self._lock:
            if key not in self._documents:
                return None
            self._documents.move_to_end(key)
            return self._documents[key][0]

    def keep(self, key: Hashable, document: Document) -> None:
        """Keep a document unless it is too large; those that were not used for longest make room for it."""
        size = _size_of(document)
        with self._lock:
            if key in self._documents or size > self._most * _LARGEST_PART:
                return
            self._documents[key] = (document, size)
            self.size += size
            while self.size > self._most:
                self.size -= self._documents.popitem(last=False)[1][1]


def _size_of(document: Document) -> int:
    place = document.node.loc
    if place is None:
        raise TypeError("a document is parsed with its places")
    tokens, token = 0, place.start_token
    while token.next is not None:
        tokens, token = tokens + 1, token.next
    return tokens * _BYTES_OF_TOKEN + len(place.source.body) * _BYTES_OF_CHARACTER
