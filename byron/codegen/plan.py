"""A plan of files to write: what is Byron's, what is the developer's, and what was edited by hand."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import NamedTemporaryFile

import byron
from byron.exceptions import GenerationError

#: Beside a component's schema.yaml: the generator's version, and each generated file's hash.
STATE_FILE = ".byron.json"


class Owner(Enum):
    """Who may change a file once it exists."""

    #: Byron rewrites it; edits by hand are refused.
    BYRON = "generated"
    #: Written once, then never touched: the developer's.
    DEVELOPER = "yours"


class Action(Enum):
    """What applying the plan does to a file."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """A file as it should be; `path` is relative to the plan's root, with slashes."""

    path: str
    text: str
    owner: Owner
    executable: bool = False
    #: Written with a component's first generation only: who deletes it later does not want it.
    only_at_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What the plan does to one file."""

    action: Action
    file: PlannedFile


class Plan:
    """Files to write below a root directory, none of them when one that Byron owns was edited by hand."""

    def __init__(self, root: Path, files: Iterable[PlannedFile], *, warnings: Sequence[str] = ()) -> None:
        self.root = root
        #: What to know before it is applied.
        self.warnings = warnings
        self.files = sorted(files, key=lambda file: file.path)

    def changes(self) -> list[Change]:
        """Return what applying would do, file by file.

        Raises GenerationError naming the generated files that were edited by hand.
        """
        recorded = self._recorded()
        changes, edited = [], []
        for file in self.files:
            path = self.root / file.path
            if file.only_at_first and not path.exists() and (self.root / STATE_FILE).exists():
                changes.append(Change(action=Action.KEEP, file=file))
            elif not path.exists():
                changes.append(Change(action=Action.CREATE, file=file))
            elif file.owner is Owner.DEVELOPER or path.read_text() == file.text:
                changes.append(Change(action=Action.KEEP, file=file))
            elif recorded.get(file.path) == _hash(path.read_text()):
                changes.append(Change(action=Action.UPDATE, file=file))
            else:
                edited.append(file.path)
        if edited:
            listed = ", ".join(f"{self.root.name}/{path}" for path in edited)
            raise GenerationError(
                f"{listed}: generated, but changed by hand since. Nothing was written. Move your change elsewhere and "
                "delete the file (or restore it), then generate again."
            )
        if any(change.action is not Action.KEEP for change in changes) or self._state_text() != self._read_state():
            state = PlannedFile(path=STATE_FILE, text=self._state_text(), owner=Owner.BYRON)
            exists = (self.root / STATE_FILE).exists()
            changes.append(Change(action=Action.UPDATE if exists else Action.CREATE, file=state))
        return changes

    def apply(self) -> list[Change]:
        """Write what differs and return what was done. Raises GenerationError before anything is written."""
        changes = self.changes()
        for change in changes:
            if change.action is not Action.KEEP:
                write_file(self.root / change.file.path, change.file)
        return changes

    def _state_text(self) -> str:
        hashes = {file.path: _hash(file.text) for file in self.files if file.owner is Owner.BYRON}
        return json.dumps({"byron": byron.__version__, "files": hashes}, indent=2) + "\n"

    def _read_state(self) -> str:
        path = self.root / STATE_FILE
        return path.read_text() if path.exists() else ""

    def _recorded(self) -> dict[str, str]:
        try:
            state = json.loads(self._read_state() or "{}")
            return dict(state.get("files", {}))
        except (ValueError, AttributeError, TypeError) as error:
            message = (
                f"{self.root.name}/{STATE_FILE} cannot be read; restore it, or delete it with the generated files."
            )
            raise GenerationError(message) from error


def write_file(path: Path, file: PlannedFile) -> None:
    """Write a file in one step: a reader sees the old text or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, prefix=".byron-", delete=False) as temporary:
        temporary.write(file.text)
    os.chmod(temporary.name, 0o755 if file.executable else 0o644)
    os.replace(temporary.name, path)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
