"""The broker that carries a namespace's events: NATS JetStream."""

from byron.broker.nats.broker import NatsBroker

__all__ = ["NatsBroker"]
