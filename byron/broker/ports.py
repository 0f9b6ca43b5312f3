"""Ports of this machine's loopback address on which a server can listen."""

from __future__ import annotations

import random
import socket

_HOST = "127.0.0.1"

#: Ports that systems give to no outgoing connection. From the range where they do, any connection may take a server's
#: port while the server is away for a moment, even one that looks for this very server: it reaches itself then.
BROKERS, OTHERS = range(20_000, 26_000), range(26_000, 32_768)

_TRIES = 100


def is_free(port: int) -> bool:
    """Whether a server could listen at a port."""
    with socket.socket() as probe:
        # As servers do: connections of the one before, still winding down, are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
            # Binding alone succeeds beside a socket that is bound with the same option and listens later.
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(among: range = OTHERS) -> int:
    """Return a port for a server that may be away for a moment and finds it free afterwards.

    By chance, so that several that look at the same time find different ones; and the embedded broker looks elsewhere
    than others, whose ports are chosen before it starts. Raises OSError when all are taken.
    """
    for port in random.SystemRandom().sample(among, _TRIES):
        if is_free(port):
            return port
    raise OSError(f"No port between {among.start} and {among.stop - 1} is free, of {_TRIES} that were tried.")
