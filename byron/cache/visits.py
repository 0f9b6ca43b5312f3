"""Coming between the transactions of a Sink at work, on a database that does not wait for another's locks."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError

from byron.cache.trouble import is_conflict

log = logging.getLogger("byron.cache")

#: Seconds for which it is tried, and between two tries at most.
PATIENCE, _PAUSE = 30.0, 0.02

_T = TypeVar("_T")


def between_transactions(alias: str, action: Callable[[], _T]) -> _T:
    """Do something that is undone when it fails, and again while another process's transaction is in its way.

    Raises OperationalError when that is so for too long.
    """
    deadline = time.monotonic() + PATIENCE
    told = False
    while True:
        try:
            return action()
        except Exception as error:
            if not is_conflict(error):
                raise
            if time.monotonic() >= deadline:
                raise OperationalError(
                    f"Transactions of a Sink were in the way in the Cache {alias} for {PATIENCE:g} seconds, and "
                    "nothing was changed. Try again, or stop the Sink meanwhile."
                ) from error
        if not told:
            told = True
            log.info("waiting cache=%s reason='a Sink is at work' seconds=%g", alias, PATIENCE)
        time.sleep(random.uniform(_PAUSE / 2, _PAUSE))
