"""Tests of components: `event`, `GraphQLFailure`, and the fixtures of the pytest plugin."""

from byron.testing.events import event
from byron.testing.failures import GraphQLFailure

__all__ = ["GraphQLFailure", "event"]
