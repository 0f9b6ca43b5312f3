"""Settings that make no sense are told by a check before anything runs."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from byron.checks import check_numbers
from byron.conf import RANGES, ByronSettings, senseless_numbers


def test_the_defaults_make_sense():
    assert senseless_numbers(ByronSettings()) == []


def test_every_setting_that_is_a_number_has_its_range():
    numbers = {field.name for field in fields(ByronSettings) if field.type in ("int", "float")}
    assert set(RANGES) == numbers - {"jwt_leeway"}


@pytest.mark.parametrize("value", [0, -1, 500.0, "500", True, None, math.nan])
def test_a_batch_has_at_least_one_event(value):
    assert senseless_numbers(ByronSettings(sink_batch_size=value)) == [
        f"BYRON_SINK_BATCH_SIZE is {value!r}; it must be a whole number of at least 1."
    ]


@pytest.mark.parametrize("name", RANGES)
def test_the_ends_of_each_range_are_allowed_and_nothing_beyond(name):
    least, greatest = RANGES[name]
    for value in (least, greatest):
        if value != math.inf:
            assert senseless_numbers(replace(ByronSettings(), **{name: value})) == []
    for value in (least - 1, greatest + 1, math.nan, math.inf, "1"):
        [problem] = senseless_numbers(replace(ByronSettings(), **{name: value}))
        assert problem.startswith(f"BYRON_{name.upper()} is {value!r}; it must be a")


def test_all_problems_are_told_at_once(settings):
    settings.BYRON_SINK_LANES = 17
    settings.BYRON_PUBLISH_TIMEOUT = 0
    assert [(error.id, error.msg) for error in check_numbers(None)] == [
        ("byron.E018", "BYRON_PUBLISH_TIMEOUT is 0; it must be a number of at least 0.001."),
        ("byron.E018", "BYRON_SINK_LANES is 17; it must be a whole number from 1 to 16."),
    ]


def test_a_sink_does_not_start_with_a_batch_of_nothing(settings):
    settings.BYRON_SINK_BATCH_SIZE = 0
    with pytest.raises(SystemCheckError, match="BYRON_SINK_BATCH_SIZE is 0"):
        call_command("runsink", skip_checks=False)
