"""Lanes: the shares of the slots that are applied side by side."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from byron.conf import byron_settings
from byron.events.subjects import SLOTS, lane_reader, lane_slots
from byron.schema.installed import ComponentConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One of a component's `count` lanes: every `count`-th slot, beginning with its number."""

    consumer: str
    number: int = 0
    count: int = 1

    @property
    def name(self) -> str:
        """The name of its durable consumer at the broker."""
        return lane_reader(self.consumer, self.number, self.count)

    @property
    def slots(self) -> tuple[int, ...]:
        return tuple(lane_slots(self.number, self.count))


def lanes_of(config: ComponentConfig) -> list[Lane]:
    """Return a component's lanes, as many as `BYRON_SINK_LANES` says; one on SQLite, which has one writer.

    Raises ImproperlyConfigured for a number that is not from 1 to 16.
    """
    return split(config.consumer_name, lane_count(config.alias))


def split(consumer: str, count: int) -> list[Lane]:
    """Return so many lanes."""
    return [Lane(consumer=consumer, number=number, count=count) for number in range(count)]


def lane_count(alias: str) -> int:
    """Return how many lanes this process is told to make. Raises ImproperlyConfigured."""
    count = byron_settings().sink_lanes
    if count not in range(1, SLOTS + 1):
        raise ImproperlyConfigured(f"BYRON_SINK_LANES is {count!r}; a component has 1 to {SLOTS} lanes.")
    return 1 if connections[alias].vendor == "sqlite" else count
