"""Tests on real processes: what `@pytest.mark.real` makes of the fixture `system`."""
