"""`check`: Django's, which also tells what other commands do not mention each time they run."""

from __future__ import annotations

from typing import Any

from django.core.management.commands.check import Command as DjangoCheck

from byron.checks import asked


class Command(DjangoCheck):
    def handle(self, *args: Any, **options: Any) -> None:
        before = asked.set(True)
        try:
            super().handle(*args, **options)
        finally:
            asked.reset(before)
