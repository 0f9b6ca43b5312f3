"""Media types: which one a client prefers, by its Accept header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
HTML = "text/html"

#: The names by which clients call the only encoding that is spoken here.
UTF_8 = frozenset({"utf-8", "utf8"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Range:
    """One entry of an Accept header, such as `application/*;q=0.8`."""

    main: str
    sub: str
    quality: float

    def matches(self, media_type: str) -> bool:
        main, _, sub = media_type.partition("/")
        return self.main in ("*", main) and self.sub in ("*", sub)

    @property
    def exactness(self) -> int:
        return (self.main != "*") + (self.sub != "*")


@lru_cache(maxsize=256)
def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """Return the media type offered that an Accept header likes best, or None when it takes none of them.

    Of a type's matching ranges the most exact one counts. Of types that are liked alike, the one that is named goes
    before one that a wildcard stands for, then the one named first, then the one offered first. No header takes all.
    """
    if not accept.strip():
        return offered[0]
    ranges = list(_ranges(accept))
    found: list[tuple[float, int, int, str]] = []
    for media_type in offered:
        matching = [(each.exactness, -place) for place, each in enumerate(ranges) if each.matches(media_type)]
        if matching:
            exactness, place = max(matching)
            found.append((ranges[-place].quality, exactness, place, media_type))
    liked = [each for each in found if each[0] > 0]
    return max(liked, key=lambda each: each[:3])[3] if liked else None


def _ranges(accept: str) -> Iterator[_Range]:
    """Give the entries of an Accept header; those that nothing here can be are left out."""
    for entry in accept.lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        main, slash, sub = name.partition("/")
        quality = _quality(parameters)
        if slash and main and sub and quality is not None:
            yield _Range(main=main, sub=sub, quality=quality)


def _quality(parameters: Sequence[str]) -> float | None:
    """Return the weight of an entry; None when it is malformed, or asks for a variant that is not spoken here."""
    quality = 1.0
    for parameter in parameters:
        name, _, value = (part.strip() for part in parameter.partition("="))
        if name == "q":
            try:
                quality = float(value)
            except ValueError:
                return None
        elif name == "charset":
            if value.strip('"') not in UTF_8:
                return None
        elif name:
            return None
    return quality if 0 <= quality <= 1 else None
