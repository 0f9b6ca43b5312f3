"""The markers of real processes: `real`, and `also_real`, which makes two tests of one."""

from __future__ import annotations

import pytest

from byron.testing.plugin.databases import refuse_missing, usable_databases


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "real(patience=30): run the fixture `system` on the project's own processes and a real nats-server; "
        "starting, and coming to rest, may take so many seconds.",
    )
    config.addinivalue_line("markers", "also_real(patience=30): run the test in this process, and again as `real`.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make two tests of one that is marked `also_real`: `-m real` and `-m "not real"` choose between them."""
    marker = metafunc.definition.get_closest_marker("also_real")
    if marker is None or "system" not in metafunc.fixturenames:
        return
    real = pytest.param("real", marks=pytest.mark.real(*marker.args, **marker.kwargs))
    metafunc.parametrize("system", ["in process", real], indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse markers where they would do nothing, or harm later tests."""
    refuse_missing(item)
    names = getattr(item, "fixturenames", ())
    for marker in ("real", "also_real"):
        if item.get_closest_marker(marker) and not {"system", "component"} & set(names) and usable_databases():
            told = f"`{marker}` is for tests of the fixture `system`, which this one does not ask for."
            pytest.fail(told, pytrace=False)


def is_real(item: pytest.Item) -> bool:
    """Whether a test is to run on real processes."""
    return item.get_closest_marker("real") is not None
