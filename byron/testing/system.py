"""Several components in one process: a log for each namespace, and Sinks that the test drives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from heapq import merge
from typing import Any, Self

from byron.events.event import Event
from byron.schema.installed import ComponentConfig
from byron.testing.cascades import LogUnderTest
from byron.testing.component import ComponentUnderTest
from byron.testing.failures import ComponentDown
from byron.testing.members import Members, Outage, Reader, event_names

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True


class MemberUnderTest(ComponentUnderTest):
    """A component among others: the log is all of theirs, and the component may be down."""

    def __init__(
        self, config: ComponentConfig, broker: LogUnderTest, down: set[str], names: set[str], reader: Reader
    ) -> None:
        super().__init__(config, broker, names, reader.read)
        self._down = down

    @property
    def is_down(self) -> bool:
        """Whether the test has this component down at the moment."""
        return self.config.label in self._down

    def graphql(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """Run a GraphQL document and return its data. Raises GraphQLFailure, and ComponentDown while it is down."""
        if self.is_down:
            raise ComponentDown(f"{self.config.label} is down: its API does not answer.")
        return super().graphql(document, **variables)

    def settle(self) -> int:
        """Apply what is in the log to this component's Cache alone; return how many events. Nothing while down."""
        return 0 if self.is_down else super().settle()


class SystemUnderTest(Members[MemberUnderTest]):
    """The components of a project in one process, each with its Cache; those of a namespace share its log."""

    def __init__(self, configs: Sequence[ComponentConfig]) -> None:
        self._down: set[str] = set()
        self._names = event_names(configs)
        self._logs: dict[str, LogUnderTest] = {}
        self._reader = Reader(configs)
        super().__init__({config.label: self._member(config) for config in configs})

    def _member(self, config: ComponentConfig) -> MemberUnderTest:
        namespace = config.component.namespace
        log = self._logs.setdefault(namespace.lower(), LogUnderTest(namespace))
        return MemberUnderTest(config, log, self._down, self._names, self._reader)

    @contextmanager
    def connected(self) -> Iterator[Self]:
        """Let the commands of all components find their log in memory for a while."""
        with ExitStack() as until_the_end:
            for member in self:
                until_the_end.enter_context(member.connected())
            yield self

    def settle(self) -> int:
        """Apply all that is in the logs, and what handlers emit meanwhile, until nothing is left.

        The components take turns, in the project's order, and each applies all that it finds. Returns how many
        events were applied, one that two components handle counting twice. Raises what a handler raises, and
        SystemFailure for a cascade that does not end.
        """
        applied = 0
        while found := sum(member.settle() for member in self):
            applied += found
        return applied

    @property
    def events(self) -> list[Event]:
        """Everything that was emitted, oldest first."""
        logs = [log.messages for log in self._logs.values()]
        return [self._reader.read(message) for message in merge(*logs, key=lambda message: message.logged)]

    def down(self, label: str) -> Outage:
        """Have a component be away inside of `with`: its API raises ComponentDown, and its Sink applies nothing."""
        self._require(label)
        return self._outage(label, self._away(label))

    @contextmanager
    def _away(self, label: str) -> Iterator[None]:
        before = set(self._down)
        self._down.add(label)
        try:
            yield
        finally:
            self._down &= before
