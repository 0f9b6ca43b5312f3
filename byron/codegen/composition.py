"""Subgraphs to a supergraph, by an npm package in a gateway's folder."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from byron.codegen.gateway import Subgraph, conflicts, gateway_files
from byron.exceptions import GenerationError

_SCRIPT = "compose.mjs"

#: Seconds; two components take less than one.
_PATIENCE = 120

#: What to do about errors of composition that Byron cannot find itself, by their codes.
_REMEDIES = {
    "SATISFIABILITY_ERROR": (
        "A gateway finds an entity in another component only by its id: declare a query with `read: {get: …}`, and "
        "without hooks, for that type in the component that has the field."
    ),
}


def compose(subgraphs: Sequence[Subgraph], directory: Path, node: str = "node") -> str | None:
    """Return the supergraph of these subgraphs, or None when the gateway's npm packages are not installed.

    `directory` is the gateway's, where the packages are looked for; `node` is a program or its path. Writes nothing.
    Raises GenerationError when Node.js is missing, and when the subgraphs do not fit together.
    """
    problems = conflicts(subgraphs)
    if problems:
        raise GenerationError("The components make no common API:\n" + "\n".join(problems))
    program = shutil.which(node)
    if program is None:
        raise GenerationError(
            f"{node} is not there. Composing takes Node.js 20 or newer: install it, or name its program with --node."
        )
    given = [{"name": each.name, "url": each.url, "source": each.source} for each in subgraphs]
    script = next(file.text for file in gateway_files(subgraphs) if file.path == _SCRIPT)
    there = next(place for place in (directory.absolute(), *directory.absolute().parents) if place.is_dir())
    finished = subprocess.run(
        # Given, not named: it may not have been written yet, and finds its packages from the folder it is run in.
        [program, "--input-type=module", "--eval", script],
        cwd=there,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )
    if finished.returncode:
        raise GenerationError(f"{_SCRIPT} failed:\n{finished.stderr.strip()}")
    outcome = json.loads(finished.stdout)
    if "missing" in outcome:
        return None
    if outcome["errors"]:
        raise GenerationError("The components make no common API:\n" + "\n".join(_told(outcome["errors"])))
    return str(outcome["supergraph"]).strip() + "\n"


def _told(errors: Sequence[dict[str, str]]) -> list[str]:
    told = [f"{error['code']}: {error['message']}" for error in errors]
    codes = dict.fromkeys(error["code"] for error in errors)
    return [*told, *(_REMEDIES[code] for code in codes if code in _REMEDIES)]
