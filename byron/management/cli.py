"""`byron-admin` and `byron`: Byron's commands outside a project.

`byron component init NAME` is the monograph's spelling of `byron-admin startcomponent NAME`.
"""

from __future__ import annotations

import os
import sys

from django.conf import settings
from django.core.management import ManagementUtility

from byron.management.outside import settings_of_environment

_SPELLINGS = {"component init": ["startcomponent"]}

_OF_A_PROJECT = frozenset({"dev", "generate", "migrate", "runserver", "runsink", "serve"})


def main(arguments: list[str] | None = None) -> None:
    """Run one command; `arguments` are those of the process unless given."""
    given = list(sys.argv if arguments is None else arguments)
    given[1:3] = _SPELLINGS.get(" ".join(given[1:3]), given[1:3])
    outside = "DJANGO_SETTINGS_MODULE" not in os.environ and not settings.configured
    if outside and given[1:2] and given[1] in _OF_A_PROJECT:
        sys.exit(f"`{given[1]}` belongs to a project: run `python manage.py {given[1]}` in its folder.")
    if outside:
        settings.configure(INSTALLED_APPS=["byron"], **settings_of_environment())
    utility = ManagementUtility(given)
    utility.prog_name = os.path.basename(given[0])
    utility.execute()
