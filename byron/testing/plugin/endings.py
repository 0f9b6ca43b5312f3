"""What a test leaves unsaid at its very end: commands that its fixtures run after it, and that are refused.

Nothing of Byron or Django is imported on top: pytest loads its plugins before Django's settings are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

from byron.testing.plugin.fixtures import RUNNING, SUBJECTS, SYSTEM


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the teardown in which a command was refused and nothing says so; of the test itself, its call has told."""
    before = _unexamined(item)
    result = yield
    problems = _unexamined(item) - before
    # A test that is run again has others.
    keys: tuple[pytest.StashKey[Any], ...] = (SUBJECTS, SYSTEM, RUNNING)
    for key in keys:
        if key in item.stash:
            del item.stash[key]
    if problems:
        pytest.fail("\n".join(problems.elements()), pytrace=False)
    return result


def _unexamined(item: pytest.Item) -> Counter[str]:
    return Counter(problem for subject in item.stash.get(SUBJECTS, ()) for problem in subject.unexamined())
