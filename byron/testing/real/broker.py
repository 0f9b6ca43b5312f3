"""A nats-server of a test's own, and what its logs hold."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Sequence
from pathlib import Path

from byron.broker.nats import NatsBroker
from byron.broker.server import find_binary
from byron.events.event import Message, StoredMessage
from byron.events.subjects import split_subject
from byron.testing.cascades import CascadeWatch
from byron.testing.real.processes import Process, ProcessGroup

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

#: The server chooses a free port itself and tells it in a file: nobody can take it in between.
_CONFIGURATION = """\
listen: "127.0.0.1:-1"
ports_file_dir: {directory}
jetstream {{ store_dir: {store} }}
authorization {{ user: byron, password: {password} }}
"""

#: Seconds that the server may take for a message.
_PATIENCE = 10.0


class RealBroker:
    """A nats-server with its data in a directory."""

    def __init__(self, group: ProcessGroup, directory: Path) -> None:
        """Start it. Raises MissingExtraError without nats-server."""
        binary = find_binary()
        directory.mkdir(parents=True)
        self._directory = directory
        self._password = secrets.token_urlsafe(16)
        configuration = directory / "nats.conf"
        configuration.touch(0o600)
        # JSON's strings are strings of the server's configuration language too.
        quoted = {"directory": directory, "store": directory / "data", "password": self._password}
        configuration.write_text(_CONFIGURATION.format(**{name: json.dumps(str(v)) for name, v in quoted.items()}))
        self.process: Process = group.start("broker", [str(binary), "-c", str(configuration)], directory)
        self.url = ""

    def is_ready(self) -> bool:
        """Whether it has told its address, which is `url` from then on."""
        for told in self._directory.glob("*.ports"):
            try:
                address = json.loads(told.read_text())["nats"][0]
            except ValueError:
                # Half written.
                return False
            self.url = address.replace("nats://", f"nats://byron:{self._password}@")
        return bool(self.url)


class RealLog:
    """A namespace's log, as far as it was read."""

    def __init__(self, namespace: str, url: str) -> None:
        self.broker = NatsBroker(namespace, url)
        self.broker.ensure_log()
        self._messages: list[StoredMessage] = []
        self._read = 0
        self._watch = CascadeWatch()

    @property
    def messages(self) -> Sequence[StoredMessage]:
        """Everything that it holds at the moment, in order. Raises as `read` does."""
        self.read()
        return self._messages

    def put(self, messages: Sequence[Message]) -> None:
        """Append messages, as components of the namespace do. Raises BrokerError."""
        for message in messages:
            self.broker.publish([message], _PATIENCE)

    def read(self) -> int:
        """Read what is new and return the last position. Raises SystemFailure for an endless cascade."""
        last = self.broker.log_info().last
        for position in range(self._read + 1, last + 1):
            message = self.broker.get(position)
            if message is not None:
                self._messages.append(message)
                self._watch.see(message.headers)
            self._read = position
        return last

    def of(self, events: Collection[str], *, after: int = 0) -> list[StoredMessage]:
        """Return the messages read so far, beyond a position, that carry one of these events."""
        return [each for each in self._messages if each.position > after and split_subject(each.subject)[3] in events]
