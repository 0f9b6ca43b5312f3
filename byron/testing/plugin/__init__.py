"""The pytest plugin of components' tests: its fixtures, markers and reports. pytest finds them by their names here."""

from byron.testing.plugin.databases import pytest_collection_modifyitems
from byron.testing.plugin.endings import pytest_runtest_teardown
from byron.testing.plugin.fixtures import _migrated_caches, component, system
from byron.testing.plugin.markers import pytest_configure, pytest_generate_tests, pytest_runtest_setup
from byron.testing.plugin.reports import (
    pytest_assertrepr_compare,
    pytest_exception_interact,
    pytest_runtest_call,
    pytest_runtest_makereport,
    pytest_sessionstart,
    pytest_terminal_summary,
)

__all__ = [
    "_migrated_caches",
    "component",
    "pytest_assertrepr_compare",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_exception_interact",
    "pytest_generate_tests",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_sessionstart",
    "pytest_terminal_summary",
    "system",
]
