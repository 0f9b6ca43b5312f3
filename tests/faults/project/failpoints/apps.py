"""Faults inside a Sink's process that no signal from outside can place exactly, by environment variables."""

import os
import signal

from django.apps import AppConfig


class FailpointsConfig(AppConfig):
    name = "failpoints"

    def ready(self):
        if acknowledgements := os.environ.get("FAULT_DIE_AT_ACKNOWLEDGEMENT"):
            _die_at_acknowledgement(int(acknowledgements))
        if publishes := os.environ.get("FAULT_DIE_AFTER_PUBLISH"):
            _die_after_publish(int(publishes))
        if machine := os.environ.get("FAULT_MACHINE"):
            _move_to(machine)
        if step := os.environ.get("FAULT_DIE_IN_REBUILD"):
            _die_in_rebuild(step)


def _die_at_acknowledgement(number):
    """Kill the process in place of its so many-th acknowledgement: what it would acknowledge is committed."""
    from byron.broker.nats.consumer import NatsConsumer

    acknowledge = NatsConsumer.acknowledge
    left = number

    def acknowledge_or_die(consumer, position):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        acknowledge(consumer, position)

    NatsConsumer.acknowledge = acknowledge_or_die


def _die_after_publish(number):
    """Kill the process after its so many-th publish: the log has what the outbox has still."""
    from byron.broker.nats import NatsBroker

    publish = NatsBroker.publish
    left = number

    def publish_and_die(broker, messages, *arguments, **options):
        nonlocal left
        found = publish(broker, messages, *arguments, **options)
        left -= bool(messages)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    NatsBroker.publish = publish_and_die


def _move_to(machine):
    """Pretend to run on a machine of this name: processes of two machines cannot look whether the other one lives."""
    from byron.cache import members
    from byron.sink import membership

    members.this_machine = membership.this_machine = lambda: machine


def _die_in_rebuild(step):
    """Kill the process right after a step of a rebuild."""
    from byron.cache import workspace
    from byron.sink import batch, rebuild

    places = {
        "begun": (rebuild, "_reader"),
        "applied": (batch.BatchApplier, "apply"),
        "replayed": (rebuild, "_refuse_newly_parked"),
        "frozen": (rebuild, "take_slots"),
        "locked": (rebuild, "lock_checkpoints"),
        "replaced": (workspace.Workspace, "replace"),
        "moved": (rebuild, "_move"),
        "written": (rebuild, "_replace"),
        "committed": (rebuild, "_switch"),
        "released": (rebuild, "release_slots"),
    }
    place, name = places[step]
    original = getattr(place, name)

    def do_and_die(*args, **kwargs):
        original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(place, name, do_and_die)
