"""What a rehearsal asks of the Cache's engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from byron.schema.installed import ComponentConfig
from byron.testing.survival.faults import Faults
from byron.testing.survival.schedule import Step

_WRITES = ("INSERT", "UPDATE", "DELETE")


class Stage(ABC):
    """A component's Cache during a test's rehearsals.

    It is opened once for all of them; each is a `rehearsal` within that, and what the simulated processes do is
    `watched`.
    """

    def __init__(self, config: ComponentConfig) -> None:
        self._config = config
        self._alias = config.alias

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make what the rehearsals need, and leave nothing of it behind."""
        yield

    @abstractmethod
    def rehearsal(self, *, empty: bool) -> AbstractContextManager[None]:
        """Give one rehearsal the Cache. What it does is undone before the next one, or the end.

        It begins with no rows where it is to be `empty`; otherwise it may also be as the test has left it.
        """

    @abstractmethod
    def watched(self, faults: Faults) -> AbstractContextManager[None]:
        """Let the process end before each commit, and before each write outside of the transactions of effects.

        What ends in a transaction is undone then, as the database does when a client is gone.
        """

    @abstractmethod
    def end_process(self) -> None:
        """Be as a new process is, wherever the one before ended: in no transaction."""


def pass_by_commit(faults: Faults) -> None:
    """Go on with a commit, or end the process before it."""
    faults.pass_by(Step.COMMIT, "the commit")


def pass_by_note(faults: Faults, statement: str) -> None:
    """Go on with a statement outside of the transactions of effects; or end the process before it, if it writes."""
    verb = statement.split(None, 1)[0]
    if verb in _WRITES:
        faults.pass_by(Step.NOTE, _described(verb, statement))


def _described(verb: str, statement: str) -> str:
    if "byron_outbox_message" in statement:
        return "it removes from the outbox what it has published"
    if "byron_checkpoint" in statement:
        return "it makes the lane's checkpoint" if verb == "INSERT" else "it makes a note about the lane"
    return "it makes a note in the Cache"
