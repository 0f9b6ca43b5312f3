"""How long a component's tests take: the generated file, and suites of a hundred, beside the same number without Byron.

Prints one JSON line a measure, times in seconds: of the whole process, and of the processor. In each round every suite
runs once, in turn. The tests of plain models are Django's alone, with as many rows: what pytest-django itself takes.

    python benchmarks/testing.py [--rounds 5] [--tests 100]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

#: Every fifth of the tests has one of these shapes; `{n}` makes each its own.
SHAPES = (
    """
def test_made_{n}(component):
    made = component.mutate("createStudent", name="Ada {n}", course="Mathematics", ingress={n})
    component.settle()
    assert component.query("getStudents") == [made]
""",
    """
def test_taken_{n}(component):
    ada = event("new.student", id="1", name="Ada {n}", course="Mathematics", ingress={n})
    component.given(ada).when("createStudent", name="Ada {n}", course="Physics", ingress={n}).then_error("CONFLICT")
""",
    """
def test_announced_{n}(component):
    component.when("createStudent", name="Ada {n}", course="Mathematics", ingress={n}).then(
        event("new.student", name="Ada {n}", ingress={n})
    )
""",
    """
def test_handled_{n}(component):
    arrived = component.when(event("new.student", id="{n}", name="Ada", course="Mathematics", ingress={n}))
    arrived.then().then_query("getStudents", [{{"id": "{n}", "ingress": {n}}}])
""",
    """
def test_several_{n}(component):
    for number in range(5):
        component.mutate("createStudent", name=f"Ada {{number}}", course="Mathematics", ingress={n})
    assert component.settle() == 5
    assert len(component.query("getStudents", course="Mathematics")) == 5
""",
)

PLAIN = """
@pytest.mark.django_db(databases=["students"])
def test_plain_{n}():
    students = Student.objects.using("students")
    for number in range({rows}):
        students.create(id=str(number), name=f"Ada {{number}}", course="Mathematics", ingress={n})
    assert students.filter(course="Mathematics").count() == {rows}
"""

SURVIVES = """
def test_it_survives(component):
    component.survives(
        *(event("new.student", id=str(n), name=f"Ada {n}", course="Mathematics", ingress=n) for n in range(10))
    )
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a suite: seconds of the whole process, and of the processor."""

    wall: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="Run each suite this often, in turn.")
    parser.add_argument("--tests", type=int, default=100, help="Have this many tests in the large suites.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="byron-bench-") as name:
        project = made_project(Path(name))
        suites = {
            "generated file": next((project / "students/tests").glob("test_*.py")),
            f"{options.tests} tests of a component": written(
                project / "test_component.py", "from byron.testing import event", with_byron(options.tests)
            ),
            f"{options.tests} tests of plain models": written(
                project / "test_plain.py", "import pytest\nfrom students.models import Student", plain(options.tests)
            ),
            "survives, ten events": written(project / "test_faults.py", "from byron.testing import event", SURVIVES),
        }
        for suite in suites.values():
            run(project, suite)
        found: dict[str, list[Run]] = {measure: [] for measure in suites}
        for _ in range(options.rounds):
            for measure, suite in suites.items():
                found[measure].append(run(project, suite))
    for measure, runs in found.items():
        report(measure, runs)


def made_project(place: Path) -> Path:
    command = [sys.executable, "-m", "byron", "startcomponent", "students"]
    subprocess.run(command, cwd=place, check=True, capture_output=True)
    project = place / "students"
    shutil.copy(project / ".env.example", project / ".env")
    return project


def written(file: Path, imports: str, tests: str) -> Path:
    file.write_text(f"{imports}\n\n{tests}")
    return file


def with_byron(tests: int) -> str:
    return "\n".join(SHAPES[n % len(SHAPES)].format(n=n) for n in range(tests))


def plain(tests: int) -> str:
    # As many rows as the others store, on the average.
    return "\n".join(PLAIN.format(n=n, rows=5 if n % 5 == 4 else 1) for n in range(tests))


def run(project: Path, suite: Path) -> Run:
    # With this variable, which images like to set, pytest would compile all of Byron each time.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(suite)]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    finished = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if finished.returncode != 0:
        raise SystemExit(f"{suite.name} failed:\n{finished.stdout}{finished.stderr}")
    return Run(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def report(measure: str, runs: list[Run]) -> None:
    line = {
        "measure": measure,
        "median_s": round(statistics.median(each.wall for each in runs), 2),
        "median_cpu_s": round(statistics.median(each.cpu for each in runs), 2),
        "min_s": round(min(each.wall for each in runs), 2),
        "max_s": round(max(each.wall for each in runs), 2),
        "runs": len(runs),
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
