"""What BYRON_BROKER_URL may be: the addresses of NATS servers, separated by commas."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

_SCHEMES = ("nats", "tls", "ws", "wss")


def address_problem(url: str) -> str:
    """Say why these are no addresses of a broker; empty when they are. Without the text, which may hold passwords."""
    schemes = set()
    for address in url.split(","):
        parts = _parts(address.strip())
        if isinstance(parts, str):
            return parts
        schemes.add(parts.scheme.startswith("ws"))
    return "mixes addresses of WebSockets with others" if len(schemes) > 1 else ""


def _parts(address: str) -> SplitResult | str:
    """Return an address in parts, or what is wrong with it."""
    if not address:
        return "has an empty address"
    scheme, separator, _ = address.partition("://")
    if separator and scheme not in _SCHEMES:
        # What is no scheme at all may be anything.
        return f"has the scheme {scheme}://" if scheme.isalnum() else "has no scheme"
    try:
        parts = urlsplit(address if separator else f"nats://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return "has a host or port that cannot be read; in a password, / is written %2F, @ %40, and : %3A"
    # Of WebSockets, a server may have a path.
    beyond = parts.query or parts.fragment or (parts.path.strip("/") and not parts.scheme.startswith("ws"))
    if beyond:
        return "has more than a host and a port; in a password, / is written %2F, ? %3F, and # %23"
    if not host:
        return "has an address without a host"
    # nats-py takes a host and port alone, but a single word is more likely something else.
    return parts if separator or port else "has no scheme"
