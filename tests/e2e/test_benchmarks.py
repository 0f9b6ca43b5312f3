"""Benchmarks that run: what they measure with so few events means nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def measures(name: str, *arguments: str, directory: Path) -> list[dict[str, object]]:
    """Run a benchmark and return its lines."""
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *arguments]
    # The settings of the tests are not the benchmark's.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "BYRON_"))}
    ended = subprocess.run(command, capture_output=True, text=True, cwd=directory, env=own, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_the_tests_benchmark_measures_each_suite(tmp_path):
    found = measures("testing", "--rounds", "1", "--tests", "10", directory=tmp_path)

    assert [each["measure"] for each in found] == [
        "generated file",
        "10 tests of a component",
        "10 tests of plain models",
        "survives, ten events",
    ]


def test_the_sink_s_benchmark_measures_both_components(tmp_path):
    few = ["--events", "100", "--runs", "1", "--replay", "0"]
    found = measures("sink", *few, "--databases", "sqlite", "--ways", "declared", "handler", directory=tmp_path)

    assert [each["measure"] for each in found] == ["declared", "handler", "ratios of medians"]
    assert all(each["database"] == "sqlite" for each in found)
    assert [each["events"] for each in found[:2]] == [100, 100]
