"""`byron-admin` and `byron`: Byron's commands outside a project.

A system's commands, `up`, `down`, `component` and `infrastructure`, need no settings: projects are run by their own
`manage.py`.
"""

from __future__ import annotations

import os
import sys

from django.conf import settings
from django.core.management import ManagementUtility, load_command_class

from byron.management.outside import settings_of_environment

#: What runs a system on this machine; the help begins with them.
_OF_A_SYSTEM = ("up", "down", "component", "infrastructure")
_OF_A_PROJECT = frozenset({"describe", "dev", "generate", "migrate", "runserver", "runsink", "serve"})


class _Utility(ManagementUtility):
    """Django's, with a system's commands explained first."""

    def main_help_text(self, commands_only: bool = False) -> str:
        text = super().main_help_text(commands_only)
        if commands_only:
            return text
        width = max(map(len, _OF_A_SYSTEM))
        lines = [f"  {name:<{width}}  {load_command_class('byron', name).help}" for name in _OF_A_SYSTEM]
        return "\n".join(["", "A system on this machine:", "", *lines, text])


def main(arguments: list[str] | None = None) -> None:
    """Run one command; `arguments` are those of the process unless given."""
    given = list(sys.argv if arguments is None else arguments)
    outside = "DJANGO_SETTINGS_MODULE" not in os.environ and not settings.configured
    if outside and given[1:2] and given[1] in _OF_A_PROJECT:
        sys.exit(f"`{given[1]}` belongs to a project: run `python manage.py {given[1]}` in its folder.")
    if outside:
        settings.configure(INSTALLED_APPS=["byron"], **settings_of_environment())
    utility = _Utility(given)
    utility.prog_name = os.path.basename(given[0])
    utility.execute()
